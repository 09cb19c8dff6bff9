"""``run --help``: every key, sweep and metric, without importing torch or Hydra."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from ..settings.catalog import group
from ..settings.config import MeasureConfig, RunConfig


def _default(field: Any) -> str:
    if field.name == "model":
        return "pronounce"
    if field.name == "measure":
        return "default"
    value = field.default if field.default is not MISSING else field.default_factory()
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _rows(config: type, prefix: str = "") -> list[tuple[str, str, str, str]]:
    return [(prefix + f.name, f.metadata["kind"], _default(f), f.metadata["help"]) for f in fields(config)]


def run_help() -> str:
    """Return the whole text of the help."""
    from ..contenders import registry
    from ..metrics import metrics

    keys = [*_rows(RunConfig), *_rows(MeasureConfig, "measure.")]
    lines = [
        "usage: python -m suites run [--json] [--legend] [KEY=VALUE ...] [+sweep=NAME]",
        "",
        "Measures every chosen strategy on one model, interleaved, after proving that they agree, and writes a run",
        "folder results/<date>_<sweep>/ with raw rounds, tables and plots. Several values, as in batch_size=1,8, are",
        "a sweep too. --json: standard output gets the rows of table.csv, warnings and advice as JSON alone.",
        "--legend: what the columns and words of the closing table mean.",
        "",
        "keys (type or unit, default):",
        *(f"  {name:19} {kind:14} {default:10} {text}" for name, kind, default, text in keys),
        f"  {'hydra.run.dir':19} {'folder':14} {'results/..':10} the run folder (hydra.sweep.dir for a sweep)",
        "",
        "sweeps:",
        *(f"  +sweep={name:12} {text}" for name, text in group("sweep").items()),
        "",
        "models:",
        *(f"  model={name:16} {text}" for name, text in group("model").items()),
        "",
        "measure presets:",
        *(f"  measure={name:14} {text}" for name, text in group("measure").items()),
        "",
        "contenders:",
        *(f"  {name:28} {contender.summary()}" for name, contender in registry().items()),
        "",
        "metrics (unit; lower or higher is better):",
    ]
    for name, metric in metrics().items():
        lines.append(f"  {name:26} {metric.unit:12} {metric.better:8} {metric.formula}")
    return "\n".join(lines) + "\n"
