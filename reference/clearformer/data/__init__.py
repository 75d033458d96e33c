"""What the models learn from: toy tasks, a small built-in corpus, Multi30k; and the way from text to batches.

Import what you need from the modules: `from clearformer.data import tiny_translation`. Nothing is loaded here.
"""
