"""Sweeps by name."""
