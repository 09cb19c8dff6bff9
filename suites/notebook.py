"""Measuring from Python: the verb ``run`` as a function, and the run that it wrote as a table."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategies.models.message_text import shown

if TYPE_CHECKING:
    import pandas as pd


def load(run_dir: str | Path) -> pd.DataFrame:
    """Return a run as a tidy table with one row per case: one strategy or contender at one batch size and length.

    ``attrs["units"]`` and ``attrs["formulas"]`` hold the unit and the formula of each metric by column. Times are in
    seconds and sizes in bytes, for the whole batch. ``*_ratio`` columns are times over the baseline's or the best
    strategy's, paired within rounds; ``_low`` and ``_high`` are the ends of their 95 % confidence intervals, and
    ``*_verdict`` says what they amount to. Columns that did not exist in the version that wrote the run are NaN, or ""
    where they hold text.

    Raises ResultsError, a Mistake, if the folder is not a run.
    """
    from .metrics import metrics
    from .tables.columns import completed
    from .tables.table_files import read_tables

    table = completed(read_tables(Path(run_dir))[0])
    known = [metric for metric in metrics().values() if metric.name in table]
    table.attrs["units"] = {metric.name: metric.unit for metric in known}
    table.attrs["formulas"] = {metric.name: metric.formula for metric in known}
    return table


@dataclass(frozen=True)
class Measurement:
    """A run that was measured. In a notebook it shows the ranked table and the headline plot.

    ``dir`` is its folder, with plots/, report.html and the raw rounds. ``complete`` says whether every case was
    measured or skipped.
    """

    dir: Path
    complete: bool

    @cached_property
    def table(self) -> pd.DataFrame:
        """The table of the run, as ``load`` gives it."""
        return load(self.dir)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row per decode step of each case: k keys attended, quartiles of its latency in seconds, FLOPs, bytes."""
        from .tables.table_files import read_tables

        return read_tables(self.dir)[1]

    @cached_property
    def advice(self) -> str:
        """Sentences on what to use, what it saves and costs, where its time goes, and what fits in memory."""
        from .store.files import read_text

        return read_text(self.dir / "advice.txt")

    def __repr__(self) -> str:
        """Return the ranked table, as the terminal shows it."""
        from .telling.ranking import rankings
        from .words.console import console

        text = io.StringIO()
        out = console(file=text, width=100, color_system=None)
        for ranking in rankings(self.table):
            out.print(ranking)
        return f"{text.getvalue().rstrip()}\n{self.dir}"

    def _repr_html_(self) -> str:
        """Return the ranked table and the headline plot as HTML, for a notebook."""
        from .reporting.cell import cell_html

        return cell_html(self.dir, self.table)


def measure(
    strategies: str | Sequence[str] = "core",
    model: str | Path | Mapping[str, Any] = "pronounce",
    *,
    run_dir: str | Path | None = None,
    quiet: bool = False,
    **keys: Any,
) -> Measurement:
    """Measure strategies in one call, as ``python -m suites run`` does.

    A list as the value of a key or size is swept. ``strategies``: the name of a set, or labels such as
    ``"static_kv(read=buffer)"``. ``model``: a name from ``python -m suites list models``, the folder of a checkpoint as
    a Path, or a mapping of sizes that replace those of ``model=tiny``. ``run_dir``: a new folder, by default
    results/<date>_<sweep>. ``quiet``: no progress. ``keys``: any other key of ``python -m suites run --help``; give
    those with a dot as ``**{"measure.rounds": 12}``.

    Raises a Mistake (ConfigError, StrategyError or ModelError) for what is not allowed, before anything runs. A case
    that fails is a row of the table with its reason, and ``complete`` is False.

        measure(["contiguous_kv", "static_kv"], model="small", seq_len=[64, 128], batch_size=8, measure="quick")
    """
    from .settings.own_package import foreign

    if line := foreign("strategies"):
        raise ImportError(line)
    from .settings.overrides import compose_jobs, read_overrides
    from .verbs.run_folder import measure_jobs

    _require_paths(keys)
    given = [f"strategies={_value(strategies)}", *_model(model)]
    given += [f"{key}={_value(value) if key == 'contenders' else _swept(value)}" for key, value in keys.items()]
    given += [f"hydra.run.dir={_value(str(run_dir))}", f"hydra.sweep.dir={_value(str(run_dir))}"] if run_dir else []
    overrides = read_overrides(given)
    jobs = compose_jobs(overrides)
    arguments = sys.argv
    with contextlib.redirect_stdout(io.StringIO()), _silenced(quiet):
        try:
            folder, code = measure_jobs(overrides, jobs)
        finally:
            sys.argv = arguments
    return Measurement(folder, code == 0)


def _swept(value: Any) -> str:
    """Write a list as Hydra reads a sweep: values with commas between them."""
    return ",".join(map(_value, value)) if isinstance(value, list | tuple) else _value(value)


def _silenced(quiet: bool) -> contextlib.AbstractContextManager[Any]:
    return contextlib.redirect_stderr(io.StringIO()) if quiet else contextlib.nullcontext()


def _model(model: str | Path | Mapping[str, Any]) -> list[str]:
    if isinstance(model, Path):
        return ["model=checkpoint", f"model.checkpoint={_value(str(model))}"]
    if isinstance(model, str):
        from .settings.catalog import did_you_mean, group
        from .settings.config import ConfigError

        known = group("model")
        if not all(name.strip() in known for name in model.split(",")):
            raise ConfigError(
                f"unknown model {shown(model)}; {did_you_mean(model, known)}known: {', '.join(known)}; a checkpoint "
                f"folder is given as a Path: model=Path({shown(model)})"
            )
        return [f"model={model}"]
    return ["model=tiny", *(f"model.{size}={_swept(value)}" for size, value in model.items())]


def _require_paths(keys: Mapping[str, Any]) -> None:
    """Raise ConfigError for a value that is no path where one is meant, and for a list with a path of no file."""
    from .settings.config import FILES, ConfigError

    for key in [name for name in (*FILES, "model.checkpoint") if name in keys]:
        several = isinstance(keys[key], list | tuple)
        for path in keys[key] if several else [keys[key]]:
            if path is not None and not isinstance(path, str | Path):
                found = type(path).__name__
                raise ConfigError(f"{key} takes a path, not a value of type {found}; write a file, and give its path")
            if several and path is not None and not Path(path).expanduser().exists():
                raise ConfigError(
                    f"{key} is given a list of paths to sweep, and {shown(str(path))} does not exist; give paths of "
                    "files that exist"
                )


def _value(value: Any) -> str:
    """Write a value as Hydra reads it.

    >>> _value(["static_kv(read=buffer)", "cross_kv"]), _value(None), _value(8)
    ("['static_kv(read=buffer)','cross_kv']", 'null', '8')
    """
    from .settings.quoting import quoted

    if isinstance(value, list | tuple):
        return f"[{','.join(quoted(str(part)) for part in value)}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if isinstance(value, int | float) or re.fullmatch(r"[\w.-]+", text, re.ASCII) else quoted(text)
