"""``run --help`` and ``run --help metrics``: keys, sweeps and metrics, without importing torch or Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from ..metrics import metrics
from ..settings.catalog import group
from ..settings.cluster import ClusterConfig
from ..settings.config import NESTED, ConfigError, MeasureConfig, RunConfig
from ..settings.rules import shown
from ..settings.search import SearchConfig
from ..words.paragraphs import entry, filled

METRICS = "metrics"
USAGE = """\
usage: python -m suites run [KEY=VALUE ...] [+sweep=NAME] [--json] [--no-wait]
       python -m suites run --resume DIR [cluster.KEY=VALUE ...] [--json]
                            [--retry-failed] [--force] [--no-wait]
       python -m suites run --legend

Measures every chosen strategy on one model, interleaved, after proving that they agree, and writes a run
folder results/<date>_<sweep>/ with raw rounds, tables and plots. Several values, as in batch_size=1,8, are a sweep too.

  --json         standard output gets the rows of table.csv, warnings and advice
                 as JSON alone
  --legend       what the columns and words of the closing table mean
  --resume DIR   measure what is missing or failed in a run folder; the same
                 command again into the same hydra.run.dir does so, too
  --retry-failed with either: also cells that failed in two tries
  --force        with either: although versions or machine are others by now
  --no-wait      with +cluster=slurm: submit the jobs, and end
  --help metrics every metric with its unit and formula
"""


def _default(field: Any) -> str:
    if field.name == "model":
        return "pronounce"
    if field.name in NESTED:
        return {"measure": "default", "search": "greedy", "cluster": "local"}[field.name]
    value = field.default if field.default is not MISSING else field.default_factory()
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _keys(config: type, prefix: str = "") -> list[str]:
    lines = []
    for one in fields(config):
        lines += entry(f"{prefix}{one.name}={_default(one)}", f"({one.metadata['kind']}) {one.metadata['help']}")
    return lines


def _listed(title: str, names: Mapping[str, str], prefix: str = "") -> list[str]:
    return ["", f"{title}:", *(line for name, text in names.items() for line in entry(prefix + name, text))]


def run_help(topics: Sequence[str] = ()) -> str:
    """Return the text of the help, or that of a topic: "metrics". Raises ConfigError for an unknown topic."""
    if topics:
        if [*topics] != [METRICS]:
            raise ConfigError(
                f"run --help {shown(' '.join(topics))}: there is no such topic; give --help or --help metrics"
            )
        return metrics_help()
    from ..contenders import registry

    lines = [
        filled(USAGE),
        "keys with their defaults (type or unit):",
        *_keys(RunConfig),
        *_keys(MeasureConfig, "measure."),
        *_keys(SearchConfig, "search."),
        *_keys(ClusterConfig, "cluster."),
        *entry("hydra.run.dir=FOLDER", "the run folder (results/<date>); hydra.sweep.dir for a sweep"),
        *_listed("sweeps", group("sweep"), "+sweep="),
        *_listed("models", group("model"), "model="),
        *_listed("measure presets", group("measure"), "measure="),
        *_listed("searches", group("search"), "search="),
        *_listed("clusters", group("cluster"), "+cluster="),
        *_listed("contenders", {name: contender.summary() for name, contender in registry().items()}),
        "",
        f"metrics: {len(metrics())} of them, each with its formula: python -m suites run --help metrics",
    ]
    return "\n".join(lines) + "\n"


def metrics_help() -> str:
    """Return the metrics with their units and formulas."""
    lines = ["metrics (unit, whether lower or higher is better):"]
    for name, metric in metrics().items():
        better = "" if metric.better == "neither" else f", {metric.better} is better"
        lines += entry(name, f"({metric.unit}{better}) {metric.formula}")
    return "\n".join([*lines, "", filled("docs/columns.md says more of each column of table.csv.")]) + "\n"


def topics_of(arguments: Sequence[str]) -> list[str]:
    """Words that follow ``--help`` and are no keys.

    >>> topics_of(["seq_len=8", "--help", "metrics"])
    ['metrics']
    """
    after = next(place for place, argument in enumerate(arguments) if argument in ("-h", "--help"))
    return [word for word in arguments[after + 1 :] if "=" not in word and not word.startswith("-")]
