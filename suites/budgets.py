"""The import path of ``guarding.budgets`` for other projects."""

from .guarding.budgets import Budget, BudgetError, count, guard, rewrite

__all__ = ["Budget", "BudgetError", "count", "guard", "rewrite"]
