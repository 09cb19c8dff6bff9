"""Sweeps on a real Slurm, which the tests start themselves: ``make test-slurm``."""
