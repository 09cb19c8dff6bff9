"""``measure.rss=true``: the resident memory of a process that decodes by one strategy alone."""

import pytest
import torch

from strategies import select
from suites.measuring.resident import STATUS, peak_rss_bytes
from suites.tables.case_table import case_table

from .test_rounds import measured, no_child  # noqa: F401

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="Linux alone tells the peak of a process")


def test_the_peak_stays_once_memory_is_given_back(tmp_path):
    before = peak_rss_bytes()
    held = torch.ones(before // 4 + (64 << 20) // 4)
    peak = peak_rss_bytes()
    assert peak > held.nbytes
    held_bytes = held.nbytes
    del held
    assert peak_rss_bytes() > peak - held_bytes / 2
    assert peak_rss_bytes(tmp_path / "status") is None


def test_the_memory_of_a_process_of_its_own_is_told_beside_that_of_weights_and_kv(tmp_path):
    (row,) = case_table([measured(tmp_path, select(["static_kv"]), rss=True)]).to_dict("records")
    assert row["status"] == "ok"
    assert row["decode_rss_formula_bytes"] == row["weight_bytes"] + row["kv_reserved_bytes"]
    assert row["decode_rss_formula_bytes"] < row["loaded_rss_bytes"] <= row["decode_rss_bytes"]
    assert row["decode_rss_bytes"] < row["rss_bytes"]  # of a process that also makes tables


@pytest.mark.usefixtures("no_child")
def test_a_process_that_does_not_start_costs_no_times_and_is_told(tmp_path):
    (row,) = case_table([measured(tmp_path, select(["static_kv"]), rss=True)]).to_dict("records")
    assert row["status"] == "ok"
    assert "the memory of its own process is not known: its process did not start within 0 s" in row["reason"]
