"""The path by which other projects import ``guarding.budgets``."""

from .guarding.budgets import Budget, BudgetError, count, guard, rewrite

__all__ = ["Budget", "BudgetError", "count", "guard", "rewrite"]
