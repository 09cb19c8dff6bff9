"""Weights on disk: one module per family of checkpoints, and what they share. Every fault raises a ``ModelError``."""
