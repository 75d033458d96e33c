"""The exercises of lesson 00_start_here."""
