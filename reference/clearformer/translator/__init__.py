"""A trained model with its vocabulary: text in, text out."""

from clearformer.translator.translator import Translator, TranslatorError

__all__ = ["Translator", "TranslatorError"]
