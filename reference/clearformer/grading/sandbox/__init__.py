"""What stands between the judge and code that nobody vouches for, seen from outside.

view           the package that the code may import
enclosure      what there is for it: the command line of bubblewrap
warm_process   starting, forking and ending the processes that run it
layers         which protections are active on this machine, and plain words where some are missing
piped_answer   asking an answer that lives in such a process
font_list      a list of fonts, so that figures need not look for them each time
"""
