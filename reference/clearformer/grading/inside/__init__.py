"""What runs where student code runs: it runs the cells and answers the judge's requests.

cells        running cells in one IPython shell, describing errors
wire         values as bytes, and a connection that sends and receives them
submission   the loop of a process: cells, then requests about what they have left behind
warm         the process that has imported everything, and is forked for each submission
confine      what a fork does to itself before it runs anything: namespaces, limits, privileges, descriptors
seccomp      the system calls that it may make
probe        trying out whether all that holds

Nothing here knows an exercise, a reference or a check. These files are copied into the sandbox one by one, and
import no more than the standard library, NumPy, IPython, torch where it is wanted, and the few modules of
`clearformer.checks` that ask an answer.
"""
