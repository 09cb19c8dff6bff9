"""Which cells are measured in a process of their own, and what is refused."""

import dataclasses
import re

import pytest

from strategies import ModelSpec, select
from strategies import strategy as strategy_module
from strategies.contiguous_kv import ContiguousKV
from suites.jobs import isolation
from suites.jobs.cell_job import CellJob
from suites.jobs.isolation import why_apart
from suites.machine.limits import Limit
from suites.settings.config import ConfigError, MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from tests.command import ROOT

from ..measuring.one_cell import CELL


class OddKV(ContiguousKV):
    """A strategy of a user."""


def job(tmp_path, strategies=None, isolate="auto", cell=CELL, **measure):
    return CellJob(cell, strategies or select("core"), [], MeasureConfig(**measure), tmp_path, isolate=isolate)


def test_auto_isolates_what_is_not_shipped_what_is_limited_what_is_large_and_cuda(tmp_path, monkeypatch):
    assert why_apart(job(tmp_path)) == ""
    assert (
        why_apart(job(tmp_path, [*select("core"), OddKV()]))
        == "isolate=auto: their strategies are not shipped with decodebench"
    )
    assert why_apart(job(tmp_path, cell_seconds_max=1.0)) == "isolate=auto: their time is limited"
    assert why_apart(job(tmp_path, cell=dataclasses.replace(CELL, device="cuda"))) == "isolate=auto: they run on CUDA"
    needed = isolation.forecast_bytes(job(tmp_path))
    for left, wanted in (
        (2 * needed, ""),
        (2 * needed - 2, "isolate=auto: their forecast exceeds half of the memory left"),
    ):
        monkeypatch.setattr(isolation, "memory_left", lambda left=left: Limit(left, "somebody"))
        assert why_apart(job(tmp_path)) == wanted
    for isolate, wanted in (("none", ""), ("process", "isolate=process")):
        assert why_apart(job(tmp_path, [OddKV()], isolate)) == wanted


def test_the_forecast_is_of_weights_and_the_largest_decoding(tmp_path):
    one, more = (isolation.forecast_bytes(job(tmp_path, select(names))) for names in (["cross_kv"], "core"))
    assert 0 < one <= more
    broken = dataclasses.replace(CELL, model=ModelSpec("gone", "checkpoint", checkpoint="/nowhere"))
    assert isolation.forecast_bytes(job(tmp_path, cell=broken)) == 0


def test_what_only_this_process_knows_is_measured_in_it_and_refused_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(OddKV, "__module__", "__main__")
    assert why_apart(job(tmp_path, [OddKV()], cell_seconds_max=1.0)) == ""
    with pytest.raises(ConfigError, match="isolate=process needs strategies that another process can import"):
        isolation.require_importable([*select("core"), OddKV()], "process")
    isolation.require_importable([OddKV()], "auto")


def test_the_list_of_shipped_modules_is_what_the_package_ships():
    files = (ROOT / "strategies").glob("*.py")
    shipped = {
        f"strategies.{path.stem}" for path in files if re.search(r"^@?register\(", path.read_text(), re.MULTILINE)
    }
    assert {*strategy_module.SHIPPED} == shipped


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (["measure.cell_seconds_max=5", "isolate=none"], "measure.cell_seconds_max=5 has no effect with isolate=none"),
        (["measure.cell_seconds_max=0"], "measure.cell_seconds_max=0 .* seconds above 0"),
        (["isolate=thread"], "isolate=thread .* none, process, auto"),
    ],
)
def test_mistakes_are_refused(given, refused):
    with pytest.raises(ConfigError, match=refused):
        compose_jobs(read_overrides(given))
