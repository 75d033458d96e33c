"""The exercises of lesson 08_gradient_checkpointing."""
