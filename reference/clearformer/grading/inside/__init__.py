"""What runs where student code runs: it runs the cells and answers the judge's requests.

cells        running cells in one IPython shell, describing errors
wire         values as bytes, and a connection that sends and receives them
submission   the loop of a process: cells, then requests about what they have left behind

Nothing here knows an exercise, a reference or a check. These files are copied into the sandbox one by one, and
import no more than the standard library, NumPy, IPython, torch where it is wanted, and the few modules of
`clearformer.checks` that ask an answer.
"""
