"""The exercises of lesson 10_llama_block."""
