"""Running somebody's notebook and saying how each exercise stands.

notebook     reading: a file's cells, and which of them answer which exercise
child        running: the process that runs cells and judges answers, seen from the process that started it
worker       the same process from inside
explain      words for what went wrong with a cell
run_through  one pass through a notebook, with as many processes as it takes
self_check   judging one's own notebook
report       the result as JSON and in a terminal
command      all of this behind `clearformer check`; course_list is `clearformer list`

A notebook that is checked so is trusted: its code runs with the rights of whoever started the check, and in the
process that judges it. That is right for one's own notebook and for no other. For those of other people:

inside       what runs in the sandbox: cells, and answers to what the judge asks
sandbox      the sandbox from outside: what this machine offers, the process in it, the answer behind a pipe
classroom    a class: finding submissions, grading them in parallel, reports (`clearformer grade`)
"""
