"""Which cases of a table may be put side by side, and how their hardware is named."""

import pandas as pd
import pytest

from suites.tables.columns import SETTINGS
from suites.tables.groups import groups, hardware_named

ALIKE = dict.fromkeys(SETTINGS, "x")


def table(*cases):
    """Cases as (device, cpu, gpu, status), each in a cell of its own."""
    names = ["device", "cpu", "gpu", "status"]
    rows = [ALIKE | dict(zip(names, case, strict=True)) | {"cell": f"c{n}"} for n, case in enumerate(cases)]
    return pd.DataFrame(rows)


def grouped(*cases):
    return ["".join(rows["cell"]).replace("c", "") for rows in groups(table(*cases))]


def named(*cases):
    whole = table(*cases)
    return [hardware_named(rows.iloc[0], whole) for rows in groups(whole)]


@pytest.mark.parametrize(
    ("cases", "found", "names"),
    [
        ([("cpu", "A", "", "ok"), ("cpu", "B", "", "ok"), ("cpu", "A", "", "failed")], ["02", "1"], ["A", "B"]),
        ([("cpu", "", "", "ok"), ("cpu", "", "", "failed")], ["01"], [""]),
        ([("cpu", "", "", "ok"), ("cpu", "A", "", "ok")], ["01"], [""]),
        ([("cpu", "", "", "failed"), ("cpu", "A", "", "ok"), ("cpu", "B", "", "ok")], ["01", "2"], ["A", "B"]),
        ([("cpu", "", "", "ok"), ("cpu", "A", "", "ok"), ("cpu", "B", "", "ok")], ["0", "1", "2"],
         ["unknown CPU", "A", "B"]),
        ([("cpu", "A", "", "ok"), ("cuda", "B", "G", "ok")], ["0", "1"], ["", ""]),
        ([("cuda", "A", "G", "ok"), ("cuda", "A", "H", "ok"), ("cuda", "A", "", "skipped")], ["02", "1"], ["G", "H"]),
        ([("cuda", "A", "G", "ok"), ("cuda", "B", "G", "ok")], ["0", "1"], ["A", "B"]),
        ([("cuda", "A", "G", "ok"), ("cuda", "B", "H", "ok")], ["0", "1"], ["G, A", "H, B"]),
    ],
)  # fmt: skip
def test_cases_are_together_if_their_hardware_is_of_one_kind(cases, found, names):
    assert grouped(*cases) == found
    assert named(*cases) == names


def test_long_names_that_differ_in_their_middle_stay_apart():
    long = [f"{'a CPU ' * 9}{digit}{' with cores' * 9}" for digit in "12"]
    first, second = named(*(("cpu", name, "", "ok") for name in long))
    assert first != second


def test_a_table_of_a_version_without_hardware_is_one_group():
    (rows,) = groups(table(("cpu", "A", "", "ok"), ("cpu", "B", "", "ok")).drop(columns=["cpu", "gpu"]))
    assert len(rows) == 2
