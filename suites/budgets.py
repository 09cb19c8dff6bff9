"""The import path of ``guarding.budgets`` for other projects, with the error that it raises."""

from .guarding.budget_file import BudgetError
from .guarding.budgets import Budget, count, guard, rewrite

__all__ = ["Budget", "BudgetError", "count", "guard", "rewrite"]
