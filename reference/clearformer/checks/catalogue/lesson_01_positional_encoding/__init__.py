"""The exercises of lesson 01_positional_encoding."""
