"""Grading a class: notebooks of people whom nobody here knows.

settings       how, as plain values
submissions    finding them, and whose they are
grade          grading one, in this process, with its code in a sandbox
pool           many, in processes of this machine; judge_worker is such a process from inside
cluster        many, on a Dask cluster; cluster_worker is such a cluster's worker from inside
journal        what is finished, kept on disk so that a stopped run goes on
documents      the result as JSON, CSV, JUnit XML and for Gradescope
pages          the result for people
progress_bar   how far a run is, in a terminal; summary is what it came to
run            all of this together; command is `clearformer grade`, which runs it
"""
