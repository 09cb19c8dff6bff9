"""The command line of the verb ``run``, read as Hydra reads it; mistakes are reported before anything starts."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .argument import Typed, read_argument
from .catalog import group
from .composition import Composer
from .config import ConfigError, RunConfig, check, register
from .effect import refuse_idle, refuse_idle_sweep, refuse_idle_sweeps, why_idle
from .flags import MULTIRUN, split
from .own_package import CONF
from .rules import shown
from .values import FOLDERS, MAX_CASES, check_group


@dataclass(frozen=True)
class Overrides:
    """A command line, checked and split.

    ``given`` holds the words as typed. ``arguments`` are those for Hydra, with ``--multirun`` where there is something
    to sweep. ``typed`` maps each key to what was typed for it. ``sweep`` joins the names of the sweep files.
    ``run_dir`` is the folder that was asked for. ``show_only``: a flag asks to show something, and nothing runs.
    """

    given: list[str]
    arguments: list[str]
    typed: dict[str, Typed]
    sweep: str | None
    run_dir: Path | None
    show_only: bool

    @property
    def keys(self) -> list[str]:
        """The arguments that are overrides, without flags and their words."""
        return [one.argument for one in self.typed.values()]


@dataclass(frozen=True)
class Job:
    """One job of a run: its overrides, its configuration as a dataclass, and the same configuration as YAML."""

    overrides: list[str]
    config: RunConfig
    yaml: str


def read_overrides(given: list[str]) -> Overrides:
    """Split flags from overrides and check keys and values. Raises ConfigError or ModelError for a mistake."""
    flags, others, showing = split(given)
    typed: dict[str, Typed] = {}
    arguments = list(flags)
    for argument in others:
        found = read_argument(argument)
        before = typed.setdefault(found.key, found)
        if before.values != found.values:
            raise ConfigError(
                f"{found.key} is given twice, as {shown(before.text)} and {shown(found.text)}; give it once"
            )
        if found.key == "hydra.job.chdir" and any(found.values):
            raise ConfigError(
                f"{shown(argument)} is not allowed, as paths are meant from the folder in which you are; leave it out"
            )
        arguments.append(found.argument)
    sweep = _sweep(typed)
    if math.prod(len(one.values) for one in typed.values()) > MAX_CASES:
        raise ConfigError(f"this sweep has more than {MAX_CASES} cells; give fewer values")
    swept = next((one for one in typed.values() if one.swept), None)
    if showing and swept:
        raise ConfigError(f"{showing} shows one cell; give one value of {swept.key}, not {shown(swept.text)}")
    if (sweep or swept) and not showing and not set(MULTIRUN) & set(flags):
        arguments = ["--multirun", *arguments]
    return Overrides(given, arguments, typed, sweep, _run_dir(typed), bool(showing))


def _sweep(typed: Mapping[str, Typed]) -> str | None:
    """Names of the sweep files, joined by hyphens; None where ``+sweep`` is not given.

    Raises ConfigError if no file is named, one is unknown or named twice, or one has no effect beside the other keys.
    """
    if "sweep" not in typed:
        return None
    one = typed["sweep"]
    if one.swept:
        product = ",".join(map(str, one.values))
        raise ConfigError(f"+sweep={shown(one.text)} is not allowed; for their product, write +sweep=[{product}]")
    value = one.values[0]
    names = value if isinstance(value, list) else [value]
    if not names:
        raise ConfigError(f"+sweep=[] names none; give one of {', '.join(group('sweep'))}, or leave it out")
    check_group("sweep", names, one.text)
    if len(set(names)) < len(names):
        raise ConfigError(f"+sweep={shown(one.text)} names a sweep twice; give each once")
    refuse_idle_sweeps(names, typed)
    return "-".join(names)


def _run_dir(typed: Mapping[str, Typed]) -> Path | None:
    """The folder given by hydra.run.dir or hydra.sweep.dir, which mean the same here; None where neither is given.

    Raises ConfigError if they name two folders, or if the folder is not a plain path.
    """
    asked = {typed[key].values[0]: key for key in FOLDERS if key in typed}
    if len(asked) > 1:
        (first, one), (second, other) = asked.items()
        raise ConfigError(f"{one}={shown(first)} and {other}={shown(second)} name two folders; give one of them")
    for folder, key in asked.items():
        if "${" in folder:
            raise ConfigError(f"{key}={shown(folder)} is not allowed; give a plain path")
        return Path(folder).expanduser().absolute()
    return None


def typed(config: Any) -> RunConfig:
    """Convert Hydra's structured configuration to a ``RunConfig`` of plain containers."""
    from omegaconf import OmegaConf

    result = OmegaConf.to_object(config)
    assert isinstance(result, RunConfig)
    return result


def name_model(config: RunConfig, overrides: Iterable[str]) -> RunConfig:
    """Put the overridden sizes into the model's name, so that different models have different names.

    ``config`` is changed in place and returned. A size that is meant for another model of the same sweep, and has no
    effect on this one, is removed.

    >>> name_model(RunConfig(model={"name": "tiny", "d_ff": 64}), ["seq_len=8", "++model.d_ff=64"]).model["name"]
    'tiny(d_ff=64)'
    """
    changes = [re.sub(r"^\+*model\.", "", o) for o in overrides if re.match(r"\+*model\.", o)]
    for name in [change.partition("=")[0] for change in changes]:
        if why_idle(f"model.{name}", config):
            config.model.pop(name, None)
    if not any(change.startswith("name=") for change in changes):
        kept = [change for change in changes if change.partition("=")[0] in config.model]
        sizes = ",".join(sorted(c for c in kept if not c.startswith(("checkpoint=", "source="))))
        config.model["name"] = config.model.get("name", "model") + (f"({sizes})" if sizes else "")
    return config


def compose_jobs(overrides: Overrides) -> list[Job]:
    """Compose every job's configuration, in Hydra's order.

    Raises ConfigError for a value that no cell could have, for a key that affects no cell, and for what Hydra refuses;
    the last with the first line of Hydra's message.
    """
    from hydra import compose, initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    register()
    parser = OverridesParser.create()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            parsed = parser.parse_overrides(overrides.keys)
            plain = [o.input_line or "" for o in parsed if not o.is_sweep_override()]
            full = compose("config", plain, return_hydra_config=True)
            swept = {str(k): str(v) for k, v in (full.hydra.sweeper.params or {}).items()}
            lines = [*(f"{k}={v}" for k, v in swept.items()), *overrides.keys]
            batches = BasicSweeper.split_arguments(parser.parse_overrides(lines), max_batch_size=None)
            composer = Composer()
            composed = [(arguments, composer.composed(arguments)) for arguments in batches[0]]
            settings = [typed(config) for _, config in composed]
            for one in settings:
                check(one)
            refuse_idle(overrides.typed, settings)
            refuse_idle_sweep(overrides.sweep, swept, settings)
            return [
                Job(arguments, name_model(one, arguments), composer.yaml(config))
                for (arguments, config), one in zip(composed, settings, strict=True)
            ]
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(one_line(error)) from None


def one_line(error: Exception) -> str:
    """Hydra's message in one line. The cause of the error, if there is one, says which value was refused."""
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    if missing := re.fullmatch(r"In '.+': Could not find 'hydra/launcher/(.*)'", lines[0]):
        lines[0] = f"unknown hydra/launcher '{shown(missing[1])}'"
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    if any(line.startswith("Available options") for line in lines):
        start = next(i for i, line in enumerate(lines) if line.startswith("Available options"))
        known = itertools.takewhile(lambda line: not line.endswith(":"), lines[start + 1 :])
        return f"{lines[0]}; known: {', '.join(known)}"
    return f"{key}: {lines[0]}" if key else lines[0]
