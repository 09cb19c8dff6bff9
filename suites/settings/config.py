"""The configuration keys, each with its meaning, type, unit and default, as Hydra and ``--help`` know them.

This module does not import torch, so that help and mistakes are answered without delay.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from strategies import Mistake

from .cluster import ClusterConfig
from .keys import key
from .rules import Rule, flag, names, number, one_of, share, shown, text, whole
from .search import SearchConfig
from .search import disagreement as search_disagreement

DEVICES = ("auto", "cpu", "cuda")
LINEARS = ("torch", "transposed", "onednn", "mkl", "fused", "panel", "auto")
"""Kernels of ``strategies.models.kernels.linears``, repeated because importing that module would import torch."""
EXECUTIONS = ("eager", "compiled", "graph")
WEIGHTS = ("fp32", "bf16", "int8")
"""Element types of ``strategies.models.kernels.narrow``, repeated because importing that module would import torch."""
DTYPES = ("fp32", "bf16", "fp16")
ATTENTION = ("auto", "flash", "efficient", "cudnn", "math")
"""Kernels of ``strategies.models.torch_settings``, repeated because importing that module would import torch."""
STOPS = ("fixed", "eos")
ISOLATE = ("none", "process", "auto")
FILES = ("src_ids", "src_text", "src_features")
"""Keys that name a file of sources."""
ROUNDS_MIN = 2
"""Fewest counted rounds of a case: an interval needs at least two."""
NO_CUDA = "device=cuda: no CUDA device here"
"""Begins the reason of a case that a machine without a CUDA device has skipped."""
MAX_THREADS = 1024
MAX_LENGTH = 1 << 30
"""Largest batch, in sentences, and largest length, in tokens, that may be asked for."""
MAX_SECONDS = 1e8
"""Largest time limit, in seconds: three years. The operating system refuses to wait much longer."""
MAX_SEED = 2**63 - 1
"""Largest seed: a table's column of 64-bit integers holds no larger number."""
MAX_GIB = 2.0**20
LENGTH = whole(1, MAX_LENGTH, optional=True)
SECONDS = number(f"seconds above 0 and at most {MAX_SECONDS:.0f}", 0, MAX_SECONDS)


class ConfigError(Mistake):
    """A configuration that cannot be run.

    The message is one line: what is wrong, the value, what is allowed, what to do.
    """


@dataclass
class MeasureConfig:
    """Keys ``measure.*``: how often each case is measured. The files of conf/measure/ are presets."""

    rounds: int = key(
        "timed rounds of every strategy, interleaved in shuffled order; the fewest, with a precision",
        6,
        "int",
        whole(ROUNDS_MIN, why=f": an interval needs at least {ROUNDS_MIN} rounds"),
    )
    warmup: int = key("rounds before them that are kept, marked and not counted", 1, "int", whole(0))
    stop: str = key(
        "fixed: exactly tgt_len tokens; eos: each row until its end-of-sequence token",
        "fixed",
        "fixed|eos",
        one_of(STOPS),
    )
    precision: float | None = key(
        "more rounds until the 95 % interval of every ratio is within this share, as 0.02; null: rounds, no more",
        None,
        "share",
        share(optional=True),
    )
    rounds_max: int = key("with a precision: no more rounds than this", 100, "int", whole(2))
    seconds_max: float = key("with a precision: no further round of a cell after this time", 300.0, "s", SECONDS)
    margin: float = key(
        "times that differ by less are the same to you (contenders: 0.05 or more)",
        0.02,
        "share",
        share(),
    )
    contender_seconds_max: float = key(
        "a contender that is silent for longer is ended, and a failed row", 600.0, "s", SECONDS
    )
    memory_gib: float | None = key(
        "memory for weights and decoding: advice says what fits, and a case that does not fails; null: the device's",
        None,
        "GiB",
        number(f"GiB above 0 and at most {MAX_GIB:.0f}", 0, MAX_GIB, optional=True),
    )
    cell_seconds_max: float | None = key(
        "a cell that takes longer is ended: what hangs is a failed row; null: no limit",
        None,
        "s",
        number(f"seconds above 0 and at most {MAX_SECONDS:.0f}", 0, MAX_SECONDS, optional=True),
    )
    rss: bool = key(
        "also decode in a process for each strategy alone, and tell its memory", False, "true|false", flag()
    )
    aa: bool = key("time the baseline twice (A/A): how far equal things come out apart", False, "true|false", flag())


@dataclass
class RunConfig:
    """All configuration keys that the verb ``run`` reads."""

    model: dict[str, Any] = key(
        "model to decode with: a file of conf/model/; model=checkpoint model.checkpoint=DIR for yours", {}, "name"
    )
    strategies: Any = key(
        "core, grid, all, or a list such as \"[full_recompute,'static_kv(read=buffer)']\"",
        "core",
        "names",
        names("core, grid, all or a list of names", dict),
    )
    contenders: Any = key(
        "systems of others in the same rounds: all, or a list such as [transformers_dynamic,ctranslate2_int8]; "
        "NAME(threads=best) has the number of threads with which it is fastest",
        [],
        "names",
        names("all, or a list such as [transformers_dynamic]"),
    )
    seq_len: int = key(
        "source and target length at once; the target's alone where sources are features",
        64,
        "tokens",
        whole(1, MAX_LENGTH),
    )
    src_len: int | None = key("source length, where it differs from seq_len", None, "tokens", LENGTH)
    tgt_len: int | None = key("target length, where it differs from seq_len", None, "tokens", LENGTH)
    batch_size: int = key("sentences decoded together", 1, "sentences", whole(1, MAX_LENGTH))
    src_ids: str | None = key(
        "file of source token ids, a sentence a line; they set the source length and the batch",
        None,
        "file",
        text("the path of a file", optional=True),
    )
    src_text: str | None = key(
        "file of texts, a sentence a line, for the model's tokenizer; every batch_size of them are a cell",
        None,
        "file",
        text("the path of a file", optional=True),
    )
    src_features: str | None = key(
        "file of source features, floats [sentences, mel, frames] by numpy.save; for models of audio, such as Whisper",
        None,
        "file",
        text("the path of a file", optional=True),
    )
    device: str = key("where to run; auto takes CUDA where it is", "auto", "auto|cpu|cuda", one_of(DEVICES))
    dtype: str = key("type of weights and K/V", "fp32", "fp32|bf16|fp16", one_of(DTYPES))
    weights: str | None = key(
        "type of the weights in products, where it is narrower than dtype=fp32; null: dtype's",
        None,
        "|".join(WEIGHTS),
        one_of(WEIGHTS, optional=True, also=DTYPES),
    )
    threads: int | None = key(
        "CPU threads within an operator; null: every core that this process may use, or fewer by OMP_NUM_THREADS",
        None,
        "threads",
        whole(1, MAX_THREADS, optional=True),
    )
    execution: str = key(
        "how steps are executed; compiled and graph are tried besides, of each strategy that supports them",
        "eager",
        "|".join(EXECUTIONS),
        one_of(EXECUTIONS),
    )
    linear: str = key(
        "kernel of the products with weights, for all strategies alike; fused: loops, where one row is compiled; "
        "panel: native code, which runs the layers of a step; "
        "auto: what a probe finds fastest",
        "torch",
        "|".join(LINEARS),
        one_of(LINEARS),
    )
    attention: str = key(
        "torch's attention kernel, for all strategies alike; auto: torch's choice, on CUDA without cuDNN's kernel",
        "auto",
        "|".join(ATTENTION),
        one_of(ATTENTION),
    )
    tf32: bool = key("CUDA rounds the inputs of float32 products to TensorFloat-32", False, "true|false", flag())
    isolate: str = key(
        "process: each cell in a process of its own; auto: on CUDA, with strategies of yours, where memory is tight or "
        "the time limited",
        "auto",
        "|".join(ISOLATE),
        one_of(ISOLATE),
    )
    seed: int = key("seeds sources, random weights and the order of rounds", 0, "int", whole(0, MAX_SEED))
    plots: bool = key("draw the plots at the end", True, "bool", flag())
    report: bool = key("write report.html at the end", True, "bool", flag())
    measure: MeasureConfig = field(
        default_factory=MeasureConfig,
        metadata={"help": "how often to measure: quick, default or careful (conf/measure/)", "kind": "name"},
    )
    search: SearchConfig = field(
        default_factory=SearchConfig,
        metadata={"help": "how tokens are chosen: greedy, beam or sample (conf/search/)", "kind": "name"},
    )
    cluster: ClusterConfig = field(
        default_factory=ClusterConfig,
        metadata={"help": "where cells are measured: +cluster=local or +cluster=slurm (conf/cluster/)", "kind": "name"},
    )


NESTED = {"measure": MeasureConfig, "search": SearchConfig, "cluster": ClusterConfig}
"""Groups of keys within the configuration, by the name that stands before their dot."""


def rules() -> dict[str, Rule]:
    """Map each key to the rule for its values; groups are left out, as their values are the names of files."""
    found = {f.name: f.metadata.get("rule") for f in fields(RunConfig)}
    for name, config in NESTED.items():
        found |= {f"{name}.{f.name}": f.metadata.get("rule") for f in fields(config)}
    return {name: rule for name, rule in found.items() if rule is not None}


def check(config: RunConfig) -> None:
    """Raise ConfigError for a value that no cell could have."""
    for name, rule in rules().items():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        if not rule.admits(value):
            raise ConfigError(rule.refusal(name, shown(value)))
    given = [name for name in FILES if getattr(config, name) is not None]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} both give the sources; leave one of them out")
    measure = config.measure
    if measure.precision is not None and measure.rounds_max < measure.rounds:
        raise ConfigError(
            f"measure.rounds_max={measure.rounds_max} is below measure.rounds={measure.rounds}; give at least as many"
        )
    if line := search_disagreement(config.search):
        raise ConfigError(line)


def known_keys() -> list[str]:
    """List every key that may be overridden: groups, and the fields within them."""
    keys = [f.name for f in fields(RunConfig)]
    return [*keys, *(f"{name}.{f.name}" for name, config in NESTED.items() for f in fields(config))]


def register() -> None:
    """Register ``RunConfig`` with Hydra as the schema of the configuration."""
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store(name="run_config", node=RunConfig)
