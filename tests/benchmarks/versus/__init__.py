"""The working tree's speed against a base revision's: ``python -m tests.benchmarks.versus main``."""
