"""Figures computed from what a run wrote down; each file adds some."""

from .metric import Case, Metric, TimedRound, metric, metrics

__all__ = ["Case", "Metric", "TimedRound", "metric", "metrics"]
