"""Ratios that benchmarks measured, judged together and shown as one table when the tests are done."""

import pytest
from pytest_benchmark.storage.file import FileStorage
from pytest_benchmark.utils import get_machine_id

from suites.judging.ratios import Ratio
from suites.measuring.arms import collector_set_aside
from suites.telling.step_summary import post

from .pace import Pace, judge
from .report import markdown

PACES = pytest.StashKey[list[Pace]]()
HEADER = ("strategy", "time, full_recompute = 1", "95 % interval", "ceiling", "verdict")


def pytest_configure(config):
    """Refuse a comparison with saved times if there are none: pytest-benchmark warns, and warnings are errors here."""
    asked = config.getoption("benchmark_compare", None)
    storage = str(config.getoption("benchmark_storage", "")).removeprefix("file://")
    if not asked or "://" in storage:
        return
    names = ("[0-9][0-9][0-9][0-9]_",) if asked is True else (asked,)
    if not list(FileStorage(storage, None, get_machine_id()).query(*names)):
        raise pytest.UsageError(
            f"--benchmark-compare: no saved times in {storage}; save some by make bench OPTIONS=--benchmark-autosave"
        )


@pytest.fixture(scope="module")
def ratios(request):
    """Strategy -> ratio. Each benchmark adds its own, and all are judged when the last one is done."""
    found: dict[str, Ratio] = {}
    yield found
    paces = request.config.stash[PACES] = judge(found)
    if failures := [failure for pace in paces if (failure := pace.failure())]:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture(scope="module", autouse=True)
def _collector_set_aside():
    with collector_set_aside():
        yield


def pytest_terminal_summary(terminalreporter, config):
    if paces := config.stash.get(PACES, []):
        table = markdown(HEADER, [pace.row() for pace in paces])
        terminalreporter.write_line(f"\n{table}")
        post(f"## Strategies beside full recompute\n\n{table}\n")
