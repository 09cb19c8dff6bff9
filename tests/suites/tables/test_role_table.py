"""Sums by role: of hand-made cells, and of measured ones, where they are the case's own totals."""

import dataclasses

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from strategies.strategy import CORE
from suites.contenders.running.lineup import Contenders
from suites.measuring.runner import run_cell
from suites.settings.cells import make_cell
from suites.settings.config import MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from suites.store.cell_folder import CellResult, read_cells
from suites.store.files import ResultsError, write_json
from suites.store.records import ArmResult
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.tables.role_table import ROLE_COLUMNS, read_roles, role_table, write_roles
from suites.tables.soundness import CASE, SETTINGS
from suites.words.progress import Progress
from tests.conftest import every_strategy

ROLES = {
    "prefill_flops": {"encoder.ffn.wi": 5, "decoder.cross_attn.kv": 7},
    "decode_flops": {"lm_head": 2, "decoder.self_attn.qkv": 3},
    "decode_bytes": {"lm_head": 20, "decoder.self_attn.qkv": 30, "decoder.self_attn.append": 40},
}
CELL = {"model": {"name": "m"}, "device": "cpu", "dtype": "fp32", "batch_size": 2, "src_len": 4, "tgt_len": 3}


def by_hand(*arms):
    return [CellResult("cell", CELL, list(arms), [])]


MEASURED = ArmResult("static_kv", "ok", steps=3, roles=ROLES)


def test_roles_are_named_as_people_say_them_in_the_models_order():
    found = role_table(by_hand(MEASURED))
    assert list(found) == ROLE_COLUMNS
    assert found[["phase", "role", "flops"]].values.tolist() == [
        ["prefill", "encoder.ffn.wi", 5],
        ["prefill", "cross.kv", 7],
        ["decode", "self.qkv", 3],
        ["decode", "self.append", 0],
        ["decode", "lm_head", 2],
    ]
    assert found["bytes"].tolist()[2:] == [30, 40, 20]
    assert found["bytes"][:2].isna().all()
    assert (found["cell"] == "cell").all()
    assert found.iloc[0][list(ROLE_COLUMNS[1:8])].tolist() == ["m", "cpu", "fp32", 2, 4, 3, "static_kv"]


@pytest.mark.parametrize(
    "arm",
    [dataclasses.replace(MEASURED, roles=None), ArmResult("static_kv", "failed", "why")],
    ids=["of an earlier version", "not measured"],
)
def test_a_case_without_sums_has_no_rows(arm):
    assert role_table(by_hand(arm)).empty
    assert len(role_table(by_hand(arm, dataclasses.replace(MEASURED, strategy="other")))) == 5


def measured(cells):
    """Of the case table, what says which cases were measured."""
    columns = [*CASE, *SETTINGS]
    rows = role_table(cells)[columns].drop_duplicates()
    return rows.assign(status="ok")


@pytest.mark.parametrize("cells", [by_hand(MEASURED), []], ids=["measured", "nothing"])
def test_the_table_is_read_back_equal(tmp_path, cells):
    before, after = write_roles(tmp_path, cells), read_roles(tmp_path, measured(cells))
    assert_frame_equal(before, after, check_exact=True, check_dtype=len(before) > 0, check_index_type=False)


def test_parquet_holds_the_same(tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow, the extra decodebench[parquet]")
    assert_frame_equal(write_roles(tmp_path, by_hand(MEASURED)), pd.read_parquet(tmp_path / "roles.parquet"))


def test_a_folder_without_the_file_has_no_roles_and_a_damaged_file_is_refused(tmp_path):
    table = measured(by_hand(MEASURED))
    assert read_roles(tmp_path, table).empty
    assert list(read_roles(tmp_path, table)) == ROLE_COLUMNS
    write_roles(tmp_path, by_hand(MEASURED))
    path = tmp_path / "roles.csv"
    path.write_text(path.read_text().replace("phase", "face"))
    with pytest.raises(ResultsError, match=r"roles\.csv lacks the column phase"):
        read_roles(tmp_path, table)


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_over_roles_the_sums_are_what_the_case_executed_and_moved_exactly(stop, tmp_path):
    """Of every strategy and option set where every row ends before the target length; of each by default beyond it."""
    strategies = [s for s in every_strategy() if stop == "eos" or "(" not in s.label]
    settings = ["src_len=6", "tgt_len=14", "batch_size=2", "device=cpu", f"measure.stop={stop}"]
    (job,) = compose_jobs(read_overrides(settings))
    cell = make_cell(job.config)
    run_cell(cell, strategies, MeasureConfig(rounds=1, warmup=0), tmp_path, Progress(1, 1), Contenders())
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    cells = read_cells(tmp_path)
    roles = role_table(cells)
    cases = case_table(cells).set_index("strategy")
    for strategy, facts in zip(strategies, cells[0].arms, strict=True):
        if facts.status != "ok":
            assert "capacity" in facts.reason
            continue
        mine = roles[roles["strategy"] == strategy.label]
        if strategy.exact:  # an approximate one may not come to its end
            assert (facts.steps < 14) == (stop == "eos")
        assert mine["flops"].sum() == cases.loc[strategy.label, "executed_flops"]
        assert mine["bytes"].sum() / facts.steps == cases.loc[strategy.label, "step_bytes"]
        phase = mine[mine["role"] == "cross.kv"]["phase"].tolist()
        assert phase == (["prefill"] if strategy.cross == "cached" else ["decode"])
    assert set(CORE) <= set(roles["strategy"])
