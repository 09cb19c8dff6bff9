"""Refusal of keys that were typed but affect no cell of the run: whoever typed one expects a different run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from strategies.models.idle_options import why_idle_option

from .catalog import mapping_of
from .cluster import ALL
from .config import FILES, ConfigError, known_keys
from .rules import shown
from .search import why_idle_search

if TYPE_CHECKING:
    from .argument import Typed
    from .cluster import ClusterConfig
    from .config import RunConfig

PROFILED = (
    "contenders",
    "isolate",
    "plots",
    "report",
    *(key for key in known_keys() if key.partition(".")[0] in ("measure", "cluster")),
)
"""Keys without effect in verbs that time no strategy against another, such as ``profile``."""
SEARCHED = tuple(key for key in known_keys() if key.partition(".")[0] == "search")
"""Keys without effect in verbs that look at greedy search alone."""


def refuse_idle(typed: Mapping[str, Typed], jobs: Sequence[RunConfig]) -> None:
    """Raise ConfigError for a key that affects none of ``jobs``.

    ``seq_len`` beside both ``src_len`` and ``tgt_len`` is allowed: the more specific keys win silently.
    """
    for key, one in typed.items():
        if jobs and all(why_idle(key, job) for job in jobs):
            raise ConfigError(f"{key}={shown(one.text)} has no effect {why_idle(key, jobs[0])}")


def refuse_idle_sweep(sweep: str | None, swept: Iterable[str], jobs: Sequence[RunConfig]) -> None:
    """Raise ConfigError for a key that the sweep files sweep and that affects none of ``jobs``."""
    for key in (name.lstrip("+") for name in swept):
        if jobs and all(why_idle(key, job) for job in jobs):
            raise ConfigError(f"+sweep={sweep}: {key} has no effect {why_idle(key, jobs[0])}")


def refuse_keys(verb: str, typed: Mapping[str, Typed], idle: Collection[str], why: str) -> None:
    """Raise ConfigError for the first key that has no effect in ``verb``.

    These are the keys of ``idle``, and all of Hydra's keys except ``hydra.run.dir``.
    """
    for key, one in typed.items():
        if key in idle or (key.startswith("hydra") and key != "hydra.run.dir"):
            raise ConfigError(f"{verb}: {key}={shown(one.text)} has no effect, as {why}; leave it out")


def why_idle(key: str, config: RunConfig) -> str:
    """Say why a key has no effect in one job's configuration and what to do; return "" where it has an effect.

    The text continues a sentence that ends in "has no effect".
    """
    if key.startswith("model.") and (why := _why_idle_model(key.removeprefix("model."), config.model)):
        return why
    if key == "model.forced_eos_id" and config.measure.stop == "fixed":
        return "with measure.stop=fixed, where no sentence ends early; add measure.stop=eos, or leave it out"
    if key == "model.ffn_out_fp32" and config.dtype != "fp16":
        return f"with dtype={config.dtype}, as it is about float16 alone; give dtype=fp16, or leave it out"
    measure = config.measure
    if key in ("src_len", "batch_size") and getattr(config, key) is not None:
        for file in FILES:
            if getattr(config, file) is not None and (key, file) != ("batch_size", "src_text"):
                return f"beside {file}, whose sentences settle it; leave one of them out"
    if key in ("measure.rounds_max", "measure.seconds_max") and measure.precision is None:
        return "without a precision; add measure.precision=0.02, or leave it out"
    if key == "measure.rss" and measure.rss:
        from .resources import device_of

        if device_of(config) == "cuda":
            return "on a CUDA device, which has a memory of its own; give device=cpu, or leave it out"
    if key == "measure.contender_seconds_max" and not (config.contenders or measure.aa or measure.rss):
        return "without contenders; add contenders=all, or leave it out"
    if key == "measure.cell_seconds_max" and measure.cell_seconds_max is not None and config.isolate == "none":
        return "with isolate=none, as only a cell in a process of its own can be ended; leave one of them out"
    if key == "tf32" and config.tf32:
        from .cells import why_no_tf32
        from .resources import device_of

        return why_no_tf32(config, device_of(config))
    if key.startswith("search."):
        return why_idle_search(key.removeprefix("search."), config.search, measure.stop)
    if key.startswith("cluster."):
        return why_idle_cluster(key, config.cluster)
    if key == "execution" and config.execution == "graph":
        from .resources import device_of

        if device_of(config) != "cuda":
            return "without a CUDA device, on which steps are captured; give execution=compiled, or leave it out"
    if key == "execution" and config.execution != "eager":
        from strategies import select
        from strategies.parsing import executed

        chosen = select(config.strategies)
        if not any(executed(strategy, config.execution) for strategy in chosen):  # type: ignore[arg-type]
            return f"with strategies={','.join(s.label for s in chosen)}; add one that supports it, or leave it out"
    return ""


def why_idle_cluster(key: str, cluster: ClusterConfig) -> str:
    """Say why a key ``cluster.*`` has no effect, as ``why_idle`` does."""
    name = key.removeprefix("cluster.")
    if name == "kind" or cluster.is_slurm:
        return ""
    if name != "gpus":
        return "without Slurm; add +cluster=slurm, or leave it out"
    if cluster.gpus not in (None, ALL):
        return "without Slurm, which alone takes a number; give cluster.gpus=all, or add +cluster=slurm"
    return ""


def _why_idle_model(name: str, model: Mapping[str, Any]) -> str:
    source = model.get("source", "random")
    if name in ("name", "source"):
        return ""
    if name == "checkpoint":
        if source == "checkpoint" or model.get("checkpoint") is None:
            return ""
        return f"with model.source={source}, whose weights are not read from a folder; add model=checkpoint"
    if source != "random":
        from strategies.models.load import CHOICES

        if source == "checkpoint" and name in CHOICES:
            return ""
        return (
            f"with model.source={source}, whose weights settle every size; leave it out, or give a model of random "
            "weights, such as model=small"
        )
    return why_idle_option(name, model)


def refuse_idle_sweeps(names: Sequence[str], typed: Mapping[str, Typed]) -> None:
    """Raise ConfigError for a sweep file that has no effect.

    Such a file sets only keys that a later file sets too or that the command line gives one value.
    """
    replaced = {key: f"{key}={shown(one.text)}" for key, one in typed.items() if not one.swept and key != "sweep"}
    for name in reversed(names):
        keys = sweep_keys(name)
        if keys and all(key in replaced for key in keys):
            others = ", ".join(dict.fromkeys(replaced[key] for key in keys))
            raise ConfigError(f"+sweep={name} has no effect beside {others}; leave one of them out")
        replaced = dict.fromkeys(keys, f"+sweep={name}") | replaced


def sweep_keys(name: str) -> list[str]:
    """List the keys that the file ``conf/sweep/<name>.yaml`` sets.

    >>> sweep_keys("grid"), sweep_keys("shazeer2019")
    (['seq_len', 'batch_size'], ['model', 'seq_len', 'batch_size', 'strategies', 'model.num_kv_heads'])
    """
    found = mapping_of("sweep", name)
    keys = [key.rpartition("/")[2] for entry in found.get("defaults", []) if isinstance(entry, dict) for key in entry]
    keys += [str(key) for key in found if key not in ("defaults", "hydra")]
    swept = ((found.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    return [*keys, *(str(key).lstrip("+") for key in swept)]
