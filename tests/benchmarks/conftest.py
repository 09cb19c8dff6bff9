"""Ratios that benchmarks found, shown as one table when the tests are done."""

import pytest

from suites.arms import collector_set_aside

from .report import markdown, post

RATIOS = pytest.StashKey[list[list[str]]]()
HEADER = ("strategy", "time, full_recompute = 1", "95 % interval", "allowed", "verdict")


@pytest.fixture
def ratios(request) -> list[list[str]]:
    """The rows of the table; a benchmark adds its own."""
    return request.config.stash.setdefault(RATIOS, [])


@pytest.fixture(scope="module", autouse=True)
def _collector_set_aside():
    with collector_set_aside():
        yield


def pytest_terminal_summary(terminalreporter, config):
    if rows := config.stash.get(RATIOS, []):
        table = markdown(HEADER, rows)
        terminalreporter.write_line(f"\n{table}")
        post(f"## Strategies beside full recompute\n\n{table}\n")
