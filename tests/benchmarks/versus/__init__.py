"""The speed of the working tree compared with that of a base revision: ``python -m tests.benchmarks.versus main``."""
