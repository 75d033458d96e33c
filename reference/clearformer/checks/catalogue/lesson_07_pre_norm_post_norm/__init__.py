"""The exercises of lesson 07_pre_norm_post_norm."""
