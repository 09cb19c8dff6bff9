"""What the summary says of cells that were measured in processes of their own."""

from types import SimpleNamespace

import pytest

from suites.telling.isolated import isolated_told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ([2.04], "1 cell ran in a process of its own (isolate=process), which began after 2 s"),
        (
            [2.04, 0.011, 0.013, 0.012],
            "4 cells ran in processes of their own (isolate=process); the first began after 2.0 s, each other after "
            "0.012 s",
        ),
    ],
)
def test_the_time_is_that_until_a_process_begins(seconds, told):
    cells = [SimpleNamespace(cell={"isolated": {"why": "isolate=process", "begun_s": one}}) for one in seconds]
    assert isolated_told(cells) == [told]
