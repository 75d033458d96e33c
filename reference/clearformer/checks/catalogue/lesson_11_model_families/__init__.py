"""The exercises of lesson 11_model_families."""
