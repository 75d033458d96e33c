"""Clearformer: the Transformer, built by hand.

In a notebook: ``from clearformer import check, hint``.
"""

__version__ = "0.1.0"
__all__ = ["check", "hint"]


def __getattr__(name):
    # Loaded on first use, so that `import clearformer.numpy` does not pay for the checks.
    if name in __all__:
        from clearformer import checks

        return getattr(checks, name)
    raise AttributeError(f"module 'clearformer' has no attribute {name!r}")
