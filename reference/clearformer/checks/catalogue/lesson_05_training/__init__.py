"""The exercises of lesson 05_training."""
