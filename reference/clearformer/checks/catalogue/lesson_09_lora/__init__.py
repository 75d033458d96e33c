"""The exercises of lesson 09_lora."""
