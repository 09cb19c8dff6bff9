"""The import path of ``guarding.budgets`` for other projects, with the error of a count that does not fit."""

from .guarding.budget_file import BudgetError
from .guarding.budgets import Budget, count, guard, rewrite

__all__ = ["Budget", "BudgetError", "count", "guard", "rewrite"]
