"""The exercises of lesson 12_efficient_attention."""
