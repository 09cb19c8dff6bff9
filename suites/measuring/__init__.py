"""Measuring one cell.

Arms are made and compared with the oracle, rounds run until there are enough, and the outcome of each arm is kept.
"""
