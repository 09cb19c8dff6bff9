"""Guards that a project's own tests use so that decoding does not get slower.

There are deterministic budgets of work, and paired times of two pieces of code.
"""
