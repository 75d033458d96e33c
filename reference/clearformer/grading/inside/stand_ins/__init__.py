"""Parts of the package as student code finds them in the sandbox, where nothing may be checked or looked up.

clearformer   the package itself
checks        check and hint do nothing: what counts is asked from outside
progress      remembers nothing
not_yet       a module of the reference that the exercise's own lesson builds, or a later one
"""
