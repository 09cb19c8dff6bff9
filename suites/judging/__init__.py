"""Conclusions from paired times: ratios with intervals, verdicts, crossovers, and warnings about noise."""
