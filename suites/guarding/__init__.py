"""What a project's own tests need so that decoding does not get slower.

Deterministic budgets, and paired times of two pieces of code.
"""
