"""Writing a translation token by token: greedy, beam, and both in plain Python for one sentence."""
