"""Training: loss, learning rate, the loop, checkpoints, averaging, several processes."""
