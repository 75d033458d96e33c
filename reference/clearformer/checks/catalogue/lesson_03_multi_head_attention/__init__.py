"""The exercises of lesson 03_multi_head_attention."""
