"""The exercises of lesson 06_translation."""
