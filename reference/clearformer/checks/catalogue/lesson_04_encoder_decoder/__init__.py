"""The exercises of lesson 04_encoder_decoder."""
