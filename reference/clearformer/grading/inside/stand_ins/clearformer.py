"""Clearformer, as far as an answer may use it: what the lessons before its own have built."""

from clearformer.checks import check, hint

__version__ = "{version}"
__all__ = ["check", "hint"]
