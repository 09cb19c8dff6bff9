"""Run folders damaged in any place, through every reader: a folder is read, or refused in one line, and no more."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from suites.judging.noise import told
from suites.notebook import Measurement
from suites.plots import machine_of
from suites.plots.views import views
from suites.settings.config import ConfigError
from suites.store.cell_folder import CellWriter, read_cells
from suites.store.files import ResultsError, write_json
from suites.store.records import ArmResult, Calibration, Conditions, Round
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.tables.columns import completed
from suites.tables.role_table import read_roles, role_table
from suites.tables.step_table import step_table
from suites.tables.table_files import read_tables
from suites.telling.advice import advise
from suites.telling.card import cards
from suites.telling.choices_told import float32_told, kernels_told, narrowing_told
from suites.telling.search_told import moved_told, quality_told, ties_told
from suites.telling.summary import advice_lines, failures, remarks
from suites.two_runs.cases import cases
from suites.two_runs.conclusion import conclusion
from suites.two_runs.figures import compare_runs
from suites.two_runs.matching import match
from suites.two_runs.report import lines_of
from suites.two_runs.runs import RunRead, read_run, require_comparable
from suites.verbs.collected import collect
from suites.verbs.run_json import as_json

from .damage import damages

EXAMPLES = int(os.environ.get("DECODEBENCH_FUZZ", 1000))
THOROUGH_EVERY = 1 if "DECODEBENCH_FUZZ" in os.environ else 50
"""One folder in so many goes through everything that is made of it; the others are read alone, a tenth of the time."""
STRATEGIES, CONTENDER = ["full_recompute", "static_kv"], "ctranslate2_int8"
TGT_LEN = 3


def formula(scale: int) -> dict:
    parts = ("step_flops", "weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes")
    return {"prefill_flops": 9 * scale, "prefill_bytes": 7, **{part: [scale * k for k in (4, 5, 6)] for part in parts}}


def write_cell(folder: Path, name: str, src_len: int) -> None:
    writer = CellWriter(folder, name)
    fits = {"peak_bytes": 10**6, "batch_max": 8, "length_max": 64}
    measure = {"rounds": 3, "warmup": 1, "margin": 0.02}
    writer.cell(
        {
            "model": {"name": "tiny", "source": "random", "shape": []}, "device": "cpu", "dtype": "fp32", "threads": 1,
            "batch_size": 2, "src_len": src_len, "tgt_len": TGT_LEN, "stop": "fixed", "seed": 0, "src_ids": None,
            "linear": "torch", "weights": "", "real_fraction": 1.0, "measure": measure, "weight_bytes": 10**5,
            "memory_bytes": 10**8, "formulas": {name: formula(2 - i) for i, name in enumerate(STRATEGIES)},
            "capacity": dict.fromkeys(STRATEGIES, fits), "contenders": [CONTENDER],
            "necessary": {CONTENDER: formula(1)}, "linear_choices": [
                {"weight": [8, 8], "rows_max": 2, "kernel": "mkl", "ratio": 0.9}
            ],
            "narrowing": {"logit_error": 0.1, "logit_max": 2.0, "choices_equal": 0.9, "per": None, "per_fp32": None,
                          "words": 0},
            "search": {"kind": "beam", "num_beams": 4, "length_penalty": 1.0, "early_stopping": "false",
                       "num_return": 1},
            "phoneme_error": 0.1, "phoneme_error_words": 500, "moved_share": 0.4, "search_ties": 2,
        }
    )  # fmt: skip
    kernels = {"rows": 2e10, "columns": 1e10, "sum": 3e10, "copy": 1e10, "gemm_fp32": 5e10}
    for index in range(-1, 3):
        writer.round(Calibration(index, index < 0, 3e10, 5e10, kernels, 2**20, 2**22))
        for place, label in enumerate([*STRATEGIES, CONTENDER, "full_recompute (A/A)"]):
            first = np.nan if label == CONTENDER else 0.25
            marks = [0.0, first, *(1.0 + (k + 0.1 * index) / (1 + place) for k in range(TGT_LEN))]
            writer.round(Round(label, index, index < 0, True, marks, disturbed=label == CONTENDER))
    writer.conditions(Conditions("rounds", 4.0, 3.0, 7.0, 1, 2, [2000.0, 2400.0], ["power cap"], "no room"))
    sums = {"self.qkv": 10, "lm_head": 20}
    ours = {
        "setup_s": 0.1, "steps": TGT_LEN, "row_lens": [3, 3], "necessary_flops": 24, "kv_reserved_bytes": 90,
        "kv_used_bytes": 60, "peak_memory_bytes": 10**6, "max_logit_error": 1e-6, "tokens_equal": True,
        "dispatch_s": 1e-4, "roles": {"prefill_flops": sums, "decode_flops": sums, "decode_bytes": sums},
    }  # fmt: skip
    writer.arms(
        [
            *(ArmResult(label, "ok", **ours) for label in STRATEGIES),
            ArmResult(CONTENDER, "ok", "ties: 1 of 6", setup_s=1.0, steps=TGT_LEN, row_lens=[3, 3], rss_bytes=2**30),
        ]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of two cells, with its tables."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    plan = [{"id": name, "overrides": [f"src_len={n}"], "predicted_work": 1} for name, n in (("a", 4), ("b", 8))]
    command = "python -m suites run src_len=4,8"
    write_json(folder / "run.json", {"schema": SCHEMA, "command": command, "sweep": None, "plan": plan})
    write_json(
        folder / "environment.json",
        {"cpu": "one", "cpu_capability": "AVX2", "cores": 2, "memory_bytes": 2**34, "gpu": {"name": "g"}, "os": "Linux",
         "versions": {"torch": "2"}, "commit": None, "uncommitted_changes": None, "load_average": [0.5, 0.5, 0.5]},
    )  # fmt: skip
    write_cell(folder, "a", 4)
    write_cell(folder, "b", 8)
    assert collect(folder, plots=False, report=False) == 0
    return folder


@pytest.fixture(scope="module")
def folders(whole, tmp_path_factory):
    """Two copies to be damaged, one without raw rounds, so that its tables are what is read; and their files."""
    raw, tables = (tmp_path_factory.mktemp(name) / "run" for name in ("raw", "tables"))
    shutil.copytree(whole, raw)
    shutil.copytree(whole, tables, ignore=shutil.ignore_patterns("cells"))
    names = ("table.csv", "steps.csv", "roles.csv", "noise.json", "advice.txt", "run.json", "environment.json")
    paths = [*(tables / name for name in names), raw / "run.json", raw / "environment.json", *raw.glob("cells/*/*")]
    return raw, tables, {path: path.read_bytes() for path in paths}


def make_tables(folder: Path) -> None:
    """As ``plot --retable``, but for what it writes."""
    cells = read_cells(folder)
    table, steps, roles = case_table(cells), step_table(cells), role_table(cells)
    told(cells), kernels_told(cells), narrowing_told(cells), float32_told(cells)
    quality_told(cells), moved_told(cells), [*ties_told(cells)]
    list(advice_lines(table, cards(table))), list(failures(table)), list(remarks(table))
    list(views(table, steps, machine_of(folder), roles))


def use_tables(folder: Path) -> None:
    """As ``plot``, ``report``, ``run --json`` and a notebook read them."""
    table, steps = read_tables(folder)
    for view in views(table, steps, machine_of(folder), read_roles(folder, table)):
        view.axis, view.panels, view.legend(), view.rounds, advise(completed(view.table))
    as_json(folder)


def show(folder: Path) -> None:
    measured = Measurement(folder, True)
    repr(measured), measured._repr_html_(), measured.steps, measured.advice


def compare(folder: Path, other: RunRead) -> None:
    a = read_run(folder)
    require_comparable(a, other, True)
    found, _ = compare_runs(a, other, match(a, other), 0.05, 0.1, times=True)
    lines_of(found), conclusion(found), cases(found)


def read_raw(folder: Path) -> None:
    read_cells(folder)
    machine_of(folder)


def read_made(folder: Path) -> None:
    table, _ = read_tables(folder)
    read_roles(folder, table)


@pytest.mark.parametrize(("kind", "share"), [("raw", 0.9), ("tables", 0.1)])
def test_a_damaged_run_folder_is_read_or_refused_in_one_line(whole, folders, kind, share):
    raw, tables, every = folders
    files = {path: content for path, content in every.items() if path.is_relative_to(raw) == (kind == "raw")}
    examples = int(share * EXAMPLES)
    other = read_run(whole)
    counts = Counter[str]()

    def survives(reader, *arguments: object) -> None:
        refusal = ""
        try:
            reader(*arguments)
        except (ResultsError, ConfigError) as error:
            refusal = str(error)
        assert refusal.isprintable()
        counts["refused" if refusal else "read"] += 1

    @settings(
        derandomize=True, deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck), database=None
    )
    @given(damage=damages(files))
    def holds(damage):
        counts["examples"] += 1
        thorough = counts["examples"] % THOROUGH_EVERY == 0
        try:
            for path, content in damage.items():
                path.unlink() if content is None else path.write_bytes(content)
            if any(path.is_relative_to(raw) for path in damage):
                for reader, *arguments in [(make_tables,), (compare, other)] if thorough else [(read_raw,)]:
                    survives(reader, raw, *arguments)
            if any(path.is_relative_to(tables) for path in damage):
                for reader, *arguments in [(use_tables,), (show,), (compare, other)] if thorough else [(read_made,)]:
                    survives(reader, tables, *arguments)
        finally:
            for path in damage:
                path.write_bytes(files[path])

    holds()
    assert min(counts["read"], counts["refused"]) > examples // 20, "damage that is never seen, or always, finds little"
