"""From paired times to what may be said of them.

Ratios with intervals, verdicts, crossovers, and what spoiled a run.
"""
