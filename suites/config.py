"""The configuration: flat keys with their meaning, type, unit and default, known to Hydra and to ``--help``.

No torch here: help and mistakes are answered at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

DEVICES = ("auto", "cpu", "cuda")
LINEARS = ("torch", "transposed", "onednn", "mkl", "fused", "auto")
"""As in ``strategies.models.linears``, which is not imported here, as it needs torch."""
EXECUTIONS = ("eager", "compiled", "graph")
WEIGHTS = ("fp32", "bf16", "int8")
"""As in ``strategies.models.narrow``."""
DTYPES = ("fp32", "bf16", "fp16")
STOPS = ("fixed", "eos")
MAX_THREADS = 1024
MOST = 1 << 30
"""Sentences or tokens beyond which nobody asks."""


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is one line: what, value, allowed, remedy."""


def key(help: str, default: Any, kind: str) -> Any:
    """A field with its help text and the type and unit that people are shown."""
    metadata = {"help": help, "kind": kind}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass
class MeasureConfig:
    """How often each case is measured; presets are the files of conf/measure/."""

    rounds: int = key(
        "timed rounds of every strategy, interleaved in shuffled order; the fewest, with a precision", 6, "int"
    )
    warmup: int = key("rounds before them that are kept, marked and not counted", 1, "int")
    stop: str = key(
        "fixed: exactly tgt_len tokens; eos: each row until its end-of-sequence token", "fixed", "fixed|eos"
    )
    precision: float | None = key(
        "more rounds until the 95 % interval of every ratio is within this share, as 0.02; null: rounds, no more",
        None,
        "share",
    )
    rounds_max: int = key("with a precision: no more rounds than this", 100, "int")
    seconds_max: float = key("with a precision: no further round of a cell after this time", 300.0, "s")
    margin: float = key("times that differ by less are the same to you: see the verdicts", 0.02, "share")
    contender_seconds_max: float = key("a contender that is silent for longer is ended, and a failed row", 600.0, "s")
    memory_gib: float | None = key(
        "memory for weights and decoding: what fits is told, a case that does not fails at once; null: the device's",
        None,
        "GiB",
    )
    aa: bool = key("time the baseline twice (A/A): how far equal things come out apart", False, "true|false")


@dataclass
class RunConfig:
    """Everything that ``run`` reads."""

    model: dict[str, Any] = key(
        "model to decode with: a file of conf/model/; model=t5 model.checkpoint=DIR for yours", {}, "name"
    )
    strategies: Any = key(
        "core, grid, all, or a list such as \"[full_recompute,'static_kv(read=buffer)']\"", "core", "names"
    )
    contenders: Any = key(
        "systems of others in the same rounds: all, or a list such as [transformers_dynamic,ctranslate2_int8]",
        [],
        "names",
    )
    seq_len: int = key("source and target length at once", 64, "tokens")
    src_len: int | None = key("source length, where it differs from seq_len", None, "tokens")
    tgt_len: int | None = key("target length, where it differs from seq_len", None, "tokens")
    batch_size: int = key("sentences decoded together", 1, "sentences")
    src_ids: str | None = key(
        "file of source token ids, a sentence a line; they set the source length and the batch", None, "file"
    )
    device: str = key("where to run; auto takes CUDA where it is", "auto", "auto|cpu|cuda")
    dtype: str = key("type of weights and K/V", "fp32", "fp32|bf16|fp16")
    weights: str | None = key(
        "type of the weights in products, where it is narrower than dtype=fp32; null: dtype's", None, "|".join(WEIGHTS)
    )
    threads: int | None = key(
        "CPU threads within an operator; null: every core that this process may use, or fewer by OMP_NUM_THREADS",
        None,
        "threads",
    )
    execution: str = key(
        "how steps are executed; compiled and graph are tried besides, of each strategy that supports them",
        "eager",
        "|".join(EXECUTIONS),
    )
    linear: str = key(
        "kernel of the products with weights, for all strategies alike; fused: loops, where one row is compiled; "
        "auto: what a probe finds fastest",
        "torch",
        "|".join(LINEARS),
    )
    seed: int = key("seeds sources, random weights and the order of rounds", 0, "int")
    plots: bool = key("draw the plots at the end", True, "bool")
    report: bool = key("write report.html at the end", True, "bool")
    measure: MeasureConfig = field(
        default_factory=MeasureConfig,
        metadata={"help": "how often to measure: quick, default or careful (conf/measure/)", "kind": "name"},
    )


def check(config: RunConfig) -> None:
    """Raise ConfigError for a value outside what is allowed."""
    for name in ("seq_len", "src_len", "tgt_len", "batch_size", "threads"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{name}={value} is not allowed; give a whole number of at least 1")
        if value is not None and value > MOST:
            raise ConfigError(f"{name}={value} is not allowed; give at most {MOST}")
    if config.threads is not None and config.threads > MAX_THREADS:
        raise ConfigError(f"threads={config.threads} is not allowed; give at most {MAX_THREADS}")
    if config.seed < 0:
        raise ConfigError(f"seed={config.seed} is not allowed; give 0 or more")
    for name, allowed in (
        ("device", DEVICES),
        ("dtype", DTYPES),
        ("linear", LINEARS),
        ("execution", EXECUTIONS),
    ):
        if getattr(config, name) not in allowed:
            raise ConfigError(f"{name}={getattr(config, name)} is not allowed; give one of {', '.join(allowed)}")
    if config.weights not in (None, config.dtype):
        if config.weights not in WEIGHTS:
            raise ConfigError(f"weights={config.weights} is not allowed; give one of {', '.join(WEIGHTS)}, or null")
        if config.dtype != "fp32":
            raise ConfigError(
                f"weights={config.weights} is not allowed with dtype={config.dtype}; give dtype=fp32, the type of "
                "activations and K/V, or leave weights out"
            )
        if config.linear != "torch":
            raise ConfigError(
                f"linear={config.linear} is not allowed with weights={config.weights}, which has a kernel of its own; "
                "leave linear out"
            )
    if config.measure.stop not in STOPS:
        raise ConfigError(f"measure.stop={config.measure.stop} is not allowed; give one of {', '.join(STOPS)}")
    if config.measure.rounds < 2:
        raise ConfigError(f"measure.rounds={config.measure.rounds} is not allowed; an interval needs at least 2 rounds")
    if config.measure.warmup < 0:
        raise ConfigError(f"measure.warmup={config.measure.warmup} is not allowed; give 0 or more")
    _check_stopping(config.measure)


def _check_stopping(measure: MeasureConfig) -> None:
    for name in ("precision", "margin"):
        value = getattr(measure, name)
        if value is not None and not 0 < value < 1:
            raise ConfigError(f"measure.{name}={value} is not allowed; give a share between 0 and 1, such as 0.02")
    for name in ("seconds_max", "contender_seconds_max"):
        if not getattr(measure, name) > 0:
            raise ConfigError(f"measure.{name}={getattr(measure, name)} is not allowed; give seconds above 0")
    if measure.memory_gib is not None and not measure.memory_gib > 0:
        raise ConfigError(f"measure.memory_gib={measure.memory_gib} is not allowed; give GiB above 0, or null")
    if measure.precision is not None and measure.rounds_max < measure.rounds:
        raise ConfigError(
            f"measure.rounds_max={measure.rounds_max} is below measure.rounds={measure.rounds}; give at least as many"
        )


def known_keys() -> list[str]:
    """Every key that may be overridden, groups with their fields."""
    keys = [f.name for f in fields(RunConfig)]
    return [*keys, *(f"measure.{f.name}" for f in fields(MeasureConfig))]


def register() -> None:
    """Tell Hydra of the schema."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="run_config", node=RunConfig)
