"""Compute the loss of a model in a validation without an effect on the training."""
