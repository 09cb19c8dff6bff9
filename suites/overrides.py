"""The command line of ``run`` as Hydra reads it, with mistakes found and told before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalog import did_you_mean, group
from .config import ConfigError, RunConfig, known_keys, register

GROUPS = ("model", "measure", "sweep")


@dataclass(frozen=True)
class Overrides:
    """``given`` as typed; ``arguments`` for Hydra, with ``--multirun`` where there is something to sweep."""

    given: list[str]
    arguments: list[str]
    sweep: str | None
    run_dir: Path | None
    show_only: bool

    @property
    def keys(self) -> list[str]:
        """The overrides among the arguments, flags left out."""
        return [a for a in self.arguments if not a.startswith("-")]


@dataclass(frozen=True)
class Job:
    """One job of a run: its overrides, its typed configuration, and the same as YAML."""

    overrides: list[str]
    config: RunConfig
    yaml: str


def read_overrides(given: list[str]) -> Overrides:
    """Split flags from overrides and check the keys. Raises ConfigError."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    show_only = any(re.match(r"(--cfg|-c|--info|-i|--hydra-help|-sc|--shell-completion)", a) for a in given)
    parser, sweep, run_dir, multirun = OverridesParser.create(), None, None, False
    for argument in given:
        if argument.startswith("-"):
            multirun |= argument in ("-m", "--multirun")
            continue
        try:
            parsed = parser.parse_override(argument)
        except HydraException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"cannot read {argument!r} ({reason}); write key=value, and quote options: "
                "\"strategies=[full_recompute,'static_kv(capacity=512)']\""
            ) from None
        _check_key(parsed.key_or_group, argument)
        multirun |= parsed.is_sweep_override()
        if parsed.key_or_group == "sweep":
            value = parsed.value()
            names = [str(name) for name in (value if isinstance(value, list) else [value])]
            _check_group("sweep", names)
            sweep, multirun = "-".join(names), True
        elif parsed.key_or_group in ("model", "measure") and not parsed.is_sweep_override():
            _check_group(parsed.key_or_group, [str(parsed.value())])
        elif parsed.key_or_group in ("hydra.run.dir", "hydra.sweep.dir"):
            run_dir = Path(str(parsed.value()))
    # Package _global_ is said here, not in each file, so that a sweep file's first line can be the command that runs
    # it. A model's yaml need not list every size, so model.x=1 may add a key; a wrong one is refused with the known
    # ones later.
    arguments = [re.sub(r"^\+?sweep=", "+sweep@_global_=", re.sub(r"^\+*model\.", "++model.", a)) for a in given]
    if multirun and not show_only and not {"-m", "--multirun"} & set(given):
        arguments = ["--multirun", *arguments]
    return Overrides(given, arguments, sweep, run_dir, show_only)


def _check_key(key: str, argument: str) -> None:
    known = known_keys()
    if key in known or key == "sweep" or key.split(".")[0] in ("hydra", "model"):
        return
    raise ConfigError(
        f"unknown key {key!r} in {argument!r}; {did_you_mean(key, known)}known: {', '.join(known)}, sweep"
    )


def _check_group(name: str, values: list[str]) -> None:
    known = group(name)
    for value in values:
        if value not in known:
            raise ConfigError(f"unknown {name} {value!r}; {did_you_mean(value, known)}known: {', '.join(known)}")


def typed(config: Any) -> RunConfig:
    """The structured configuration as its dataclass, plain containers inside."""
    from omegaconf import OmegaConf

    result = OmegaConf.to_object(config)
    assert isinstance(result, RunConfig)
    return result


def compose_jobs(overrides: Overrides) -> list[Job]:
    """Every job's configuration, in Hydra's order. Raises ConfigError with Hydra's first line for what it refuses."""
    from hydra import compose, initialize_config_module
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    register()
    parser = OverridesParser.create()
    try:
        with initialize_config_module("conf", version_base="1.3"):
            parsed = parser.parse_overrides(overrides.keys)
            plain = [o.input_line or "" for o in parsed if not o.is_sweep_override()]
            full = compose("config", plain, return_hydra_config=True)
            swept = {str(k): str(v) for k, v in (full.hydra.sweeper.params or {}).items()}
            for override in parsed:
                swept.pop(override.key_or_group, None)  # a value on the command line replaces the swept one
            lines = [*(f"{k}={v}" for k, v in swept.items()), *overrides.keys]
            batches = BasicSweeper.split_arguments(parser.parse_overrides(lines), max_batch_size=None)
            jobs = []
            for arguments in batches[0]:
                config = compose("config", list(arguments))
                jobs.append(Job(list(arguments), typed(config), OmegaConf.to_yaml(config)))
            return jobs
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    """Hydra's message without its decoration: the cause, if it has one, says which value was refused."""
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    return f"{key}: {lines[0]}" if key else lines[0]
