"""Facts that are no possible number of rows, or of keys of the source, are refused before anything rests on them."""

from dataclasses import dataclass

import pytest

from strategies import StrategyError
from strategies.contiguous_kv import ContiguousKV
from suites.work.declared import require_rows


@dataclass(frozen=True)
class Declares(ContiguousKV):
    label = "declares"
    fact: str = "rows_expanded"
    values: tuple = ()

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "fact"):
            values = object.__getattribute__(self, "values")
            return lambda k, *source: values[min(k, len(values)) - 1]
        return object.__getattribute__(self, name)


@pytest.mark.parametrize(
    ("fact", "values", "told"),
    [
        ("rows_expanded", (0, 0.5, 0), "declares: rows_expanded(2) = 0.5 is no number of rows; return a whole number"),
        ("table_entries", (1, 1, -1), "declares: table_entries(3) = -1 is no number of rows"),
        ("cross_keys_read", (7, 3, 7), "declares: cross_keys_read(3, 7) = 7 rises from 3 at step 2; return as many or"),
        ("cross_keys_read", (7, 7, 7, 0), "declares: cross_keys_read(4, 7) = 0 is no number of keys of 7"),
        ("cross_keys_observed", (8,), "declares: cross_keys_observed(1, 7) = 8 is no number of keys of 7"),
    ],
)
def test_a_fact_is_refused_at_whatever_step_it_is_wrong(fact, values, told):
    with pytest.raises(StrategyError) as refused:
        require_rows(Declares(fact=fact, values=values), 12, 7)
    assert str(refused.value).startswith(told)


def test_keys_of_the_source_may_become_fewer_at_any_step():
    require_rows(Declares(fact="cross_keys_read", values=(7, 7, 3, 3, 1)), 100, 7)
