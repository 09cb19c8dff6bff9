"""Metrics: figures computed from what a run wrote down. Each file of this folder adds some."""

from .metric import Case, Metric, TimedRound, metric, metrics

__all__ = ["Case", "Metric", "TimedRound", "metric", "metrics"]
