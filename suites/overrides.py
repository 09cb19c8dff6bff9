"""The command line of ``run`` as Hydra reads it, with mistakes found and told before anything starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalog import did_you_mean, group
from .config import ConfigError, RunConfig, known_keys, register
from .own import CONF

FLAGS = re.compile(r"-m|--multirun|-c|--cfg|-i|--info|--hydra-help|-p|--package|--resolve|-sc|--shell-completion")


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

    for flag in (a for a in given if a.startswith("-") and not FLAGS.fullmatch(a)):
        raise ConfigError(f"unknown flag {flag!r}; run takes KEY=VALUE, +sweep=NAME, --multirun, --cfg job and --info")
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
            run_dir = _folder(parsed.key_or_group, parsed.value())
        elif parsed.key_or_group == "hydra.job.chdir" and parsed.value():
            raise ConfigError(
                f"{argument} is not allowed, as every path is meant from the folder in which you are; leave it out"
            )
    # Package _global_ is said here, not in each file, so that a sweep file's first line can be the command that runs
    # it. A model's yaml need not list every size, so model.x=1 may add a key; a wrong one is refused with the known
    # ones later.
    arguments = [re.sub(r"^\+?sweep=", "+sweep@_global_=", re.sub(r"^\+*model\.", "++model.", a)) for a in given]
    if multirun and not show_only and not {"-m", "--multirun"} & set(given):
        arguments = ["--multirun", *arguments]
    return Overrides(given, arguments, sweep, run_dir, show_only)


def _folder(key: str, value: Any) -> Path:
    """The run folder that was asked for, absolute, wherever a strategy may go later. Raises ConfigError."""
    path = "" if value is None else str(value)
    if not path.strip() or "${" in path or "\0" in path:
        raise ConfigError(f"{key}={path!r} is not allowed; give a plain path of a folder, or leave it out")
    return Path(path).absolute()


def quoted(text: str) -> str:
    r"""As Hydra reads it back, whatever it holds.

    >>> print(quoted("a"), quoted("it's"), quoted("x\\y"), quoted("end\\"))
    'a' 'it\'s' 'x\y' 'end\\'
    """
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _check_key(key: str, argument: str) -> None:
    known = known_keys()
    if key in known or key == "sweep" or re.split(r"[./@]", key)[0] in ("hydra", "model"):
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


def name_model(config: RunConfig, overrides: Iterable[str]) -> RunConfig:
    """Put sizes that were overridden into the model's name, so that models that differ are told apart: in place.

    >>> name_model(RunConfig(model={"name": "tiny"}), ["seq_len=8", "++model.d_ff=64"]).model["name"]
    'tiny(d_ff=64)'
    """
    changes = [re.sub(r"^\+*model\.", "", o) for o in overrides if re.match(r"\+*model\.", o)]
    if not any(change.startswith("name=") for change in changes):
        sizes = ",".join(sorted(c for c in changes if not c.startswith(("checkpoint=", "source="))))
        config.model["name"] = config.model.get("name", "model") + (f"({sizes})" if sizes else "")
    return config


def compose_jobs(overrides: Overrides) -> list[Job]:
    """Every job's configuration, in Hydra's order. Raises ConfigError with Hydra's first line for what it refuses."""
    from hydra import compose, initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
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
            jobs = []
            for arguments in batches[0]:
                config = compose("config", list(arguments))
                jobs.append(Job(list(arguments), name_model(typed(config), arguments), OmegaConf.to_yaml(config)))
            return jobs
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    """Hydra's message without its decoration: the cause, if it has one, says which value was refused."""
    lines = [line.strip() for line in str(error.__cause__ or error).splitlines() if line.strip()]
    key = next((line.removeprefix("full_key: ") for line in lines if line.startswith("full_key: ")), "")
    return f"{key}: {lines[0]}" if key else lines[0]
