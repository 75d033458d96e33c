"""The exercises of lesson 02_attention."""
