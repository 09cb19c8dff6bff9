"""A kernel that really fails, in a command of its own, so that no other test is spoiled."""

import pandas as pd
import pytest
import torch

from tests.command import SMALL_MODEL, copy_packages, suites

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with strategies that look up a row beyond the end of an embedding."""
    return copy_packages(tmp_path_factory.mktemp("copy"), "spoiling")


def test_a_device_side_assertion_is_the_row_of_its_arm_and_all_others_are_measured(copy):
    """The first in the proof of equality, the second in the rounds of the process after that."""
    spoiling = ["spoils(at=5)", "spoils(at=5,batches=4)"]
    chosen = f"strategies=[full_recompute,'{spoiling[0]}','{spoiling[1]}',static_kv,spoils]"
    given = ["seq_len=5,6", "device=cuda", *SMALL_MODEL, "measure=quick", "hydra.sweep.dir=run"]
    done = suites("run", *given, chosen, folder=copy, packages=copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "spoiled CUDA for this process" in line]
    assert [line.partition(" ")[0] for line in told] == spoiling
    table = pd.read_csv(copy / "run" / "table.csv").set_index(["tgt_len", "strategy"])
    assert table["status"].loc[5].to_list() == ["ok", "failed", "failed", "ok", "ok"]
    assert table["status"].loc[6].to_list() == ["ok"] * 5
    assert table["reason"].loc[5].dropna().str.contains("device-side assert triggered").all()
    noted = [line.split() for line in (copy / "strategies" / "spoiling.pids").read_text().splitlines()]
    processes = {length: list(dict.fromkeys(pid for at, pid in noted if at == length)) for length in "56"}
    assert [len(processes[length]) for length in "56"] == [3, 1]
    assert processes["6"][0] not in processes["5"]  # once CUDA is spoiled, each cell has a process of its own


def test_decode_ends_with_one_line_that_names_the_strategy(copy):
    arguments = ["--strategies", "static_kv,spoils(at=8)", "--max-new", "8", "--device", "cuda", "tea"]
    done = suites("decode", *arguments, folder=copy, packages=copy)
    assert done.returncode == 1
    assert "decodebench: spoils(at=8) spoiled CUDA for this process: " in done.stderr
    assert "Traceback" not in done.stderr
