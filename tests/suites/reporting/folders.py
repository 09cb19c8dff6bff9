"""Run folders as a run leaves them, from hand-made tables, for the report to read."""

import json

import pandas as pd

from suites.store.files import write_json
from suites.store.frame import write_frame
from suites.tables.columns import completed
from suites.tables.exactness import exact_rows
from suites.tables.role_table import ROLE_COLUMNS

from ..plots.lossy import lossy
from ..plots.test_plots import CORE, ODD, TIED, tables
from ..plots.test_roofline import scene


def odd_models():
    """Two models whose names hold signs that neither an id nor a file's name should."""
    table, steps = tables(TIED[:2])
    names = ("v1.1(dropout=0.1)", "it's a [model]: #2 + 1")
    changed = [[frame.assign(model=name, cell=frame["cell"] + name) for frame in (table, steps)] for name in names]
    return tuple(pd.concat(frames, ignore_index=True) for frames in zip(*changed, strict=True))


FOLDERS = {
    "sweep": lambda: scene(lengths=TIED[1:]),
    "one row": lambda: tables(strategies=CORE[:1]),
    "failed": lambda: tables(TIED[1:], lost=[("contiguous_kv", None, "invalid"), ("cross_kv", 128, "failed")]),
    "nothing measured": lambda: tables(lost=[(name, None, "failed") for name in CORE]),
    "odd labels": lambda: scene((*CORE, *ODD)),
    "odd models": odd_models,
    "searches": lambda: tables(TIED[1:3], beams=(0, 1, 4)),
    "approximate": lambda: lossy(TIED[1:]),
    "two devices": lambda: tables(TIED[1:3], devices=("cpu", "cuda")),
}


MODEL = """\
model: {name: m, source: random, architecture: t5, vocab_size: 101, d_model: 24, num_heads: 4, d_kv: 6, d_ff: 48,
  encoder_layers: 2, decoder_layers: 3}
"""


def run_folder(folder, name):
    """``folder`` with what the report reads of a run."""
    table, steps = FOLDERS[name]()
    return write_run(folder, table, steps)


def write_run(folder, table, steps):
    folder.mkdir(parents=True, exist_ok=True)
    table = completed(table)
    for place, mine in exact_rows(table[table["status"] == "ok"]).groupby("cell"):
        table.loc[table["cell"] == place, "best_strategy"] = mine.loc[mine["e2e_s"].idxmin(), "strategy"]
    table.loc[table["status"] == "ok", "e2e_verdict"] = "faster"
    table.loc[table["status"] == "ok", "best_verdict"] = "slower"
    for ratio in ("e2e_ratio", "best_ratio"):
        table[ratio] = table[ratio].fillna(0.5)
        for end, share in (("low", 0.9), ("high", 1.1)):
            table[f"{ratio}_{end}"] = table[ratio] * share
    write_frame(folder, "table", table)
    write_frame(folder, "steps", steps)
    write_frame(folder, "roles", roles_of(table))
    (folder / "config.yaml").write_text(MODEL)
    write_json(folder / "environment.json", {"cpu": "A CPU <of> ours", "cores": 2, "versions": {"torch": "2.11"}})
    (folder / "noise.json").write_text(json.dumps(["others used the CPU: close them & run again"]))
    return folder


def roles_of(table):
    rows = [
        {**{name: row[name] for name in ROLE_COLUMNS if name in row}, "phase": "decode", "role": role, "flops": amount,
         "bytes": amount / 2}
        for row in table[table["status"] == "ok"].to_dict("records")
        for role, amount in (("self.qkv", 3e6), ("ffn.wi", 5e6), ("lm_head", 2e6))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=ROLE_COLUMNS)


def two_folders(folder):
    """(first, second): the same run, the second with a static_kv that takes twice the time and more memory."""
    table, steps = FOLDERS["sweep"]()
    first = write_run(folder / "first", table, steps)
    slow = table["strategy"] == "static_kv"
    changed = table.assign(
        e2e_ratio=table["e2e_ratio"].where(~slow, 2 * table["e2e_ratio"]),
        peak_memory_bytes=table["peak_memory_bytes"].where(~slow, 2 * table["peak_memory_bytes"]),
    )
    return first, write_run(folder / "second", changed, steps)


def ten_thousand_rows():
    """Four strategies at 50 batches and 50 lengths; steps of the first cell alone."""
    table, steps = tables()
    cells = pd.DataFrame({"batch_size": b, "tgt_len": n, "src_len": n, "cell": f"{b}x{n}"} for b in range(1, 51)
                         for n in range(2, 52))  # fmt: skip
    rows = cells.merge(table.drop(columns=list(cells)), how="cross")
    return rows.assign(e2e_s=rows["e2e_s"] * rows["tgt_len"]), steps.assign(
        cell="1x2", batch_size=1, src_len=2, tgt_len=2
    )
