"""The table of roles, ``roles.csv``: the FLOPs and bytes of each role in each phase of a case, by closed formulas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..store.cell_folder import CellResult
from ..store.files import exists
from ..store.frame import read_frame, write_frame
from ..work.role_names import in_model_order, role_name
from .model_names import model_names
from .soundness import require_same_cases

ROLE_COLUMNS = [
    "cell", "model", "device", "dtype", "batch_size", "src_len", "tgt_len", "strategy", "phase", "role", "flops",
    "bytes",
]  # fmt: skip


def role_table(cells: Sequence[CellResult]) -> pd.DataFrame:
    """Make the table with one row per role (``work.role_names.role_name``), phase and measured case.

    The phases are prefill and decode. The FLOPs of a case, summed over roles and both phases, are its
    ``executed_flops``. The bytes of decode, summed over roles, are its ``step_bytes`` times the number of steps. The
    bytes of prefill are not counted (NaN). There are no rows for folders of versions that did not record roles.
    """
    rows = []
    for result, model in zip(cells, model_names(cells), strict=True):
        cell = result.cell
        identity = {
            "cell": result.id,
            "model": model,
            **{name: cell[name] for name in ("device", "dtype", "batch_size", "src_len", "tgt_len")},
        }
        for arm in result.arms:
            if arm.status != "ok" or arm.roles is None:
                continue
            prefill, decode, moved = (arm.roles[name] for name in ("prefill_flops", "decode_flops", "decode_bytes"))
            for phase, paths in (("prefill", prefill), ("decode", decode | moved)):
                path_of = {role_name(path): path for path in paths}
                for role in in_model_order(path_of):
                    path = path_of[role]
                    flops, moved_bytes = prefill.get(path, 0), math.nan
                    if phase == "decode":
                        flops, moved_bytes = decode.get(path, 0), float(moved.get(path, 0))
                    values = {"phase": phase, "role": role, "flops": flops, "bytes": moved_bytes}
                    rows.append({**identity, "strategy": arm.strategy, **values})
    return pd.DataFrame(rows, columns=ROLE_COLUMNS)


def write_roles(run_dir: Path, cells: Sequence[CellResult]) -> pd.DataFrame:
    """Write roles.csv, and roles.parquet where pyarrow is installed; return the table."""
    table = role_table(cells)
    write_frame(run_dir, "roles", table)
    return table


def read_roles(run_dir: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Read roles.csv. It has no rows where there is no such file, as in folders of earlier versions.

    Raises ResultsError if the file is damaged, or has a case that was not measured according to ``table``, the table of
    cases.
    """
    path = run_dir / "roles.csv"
    if not exists(path):
        return pd.DataFrame(columns=ROLE_COLUMNS)
    found = read_frame(path, ROLE_COLUMNS)
    require_same_cases(path, found, table)
    return found
