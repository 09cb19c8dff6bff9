"""Weights on disk: one file a family of checkpoints, and what all of them share. Every fault is a ``ModelError``."""
