"""What is told of sources and checkpoint before anything is measured: what they ask for and do not get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..settings.config import RunConfig
from ..settings.rules import shown
from ..settings.sources import pad_id, read_sources


def told(configs: Iterable[RunConfig]) -> list[str]:
    """Lines of all that will be decoded; files are read once, however many cases share them.

    Raises ConfigError, ModelError.
    """
    distinct = {(repr(config.model), config.src_ids): config for config in configs}.values()
    return list(dict.fromkeys(line for config in distinct for line in (*of_sources(config), *of_generation(config))))


def of_sources(config: RunConfig) -> Iterator[str]:
    """A line where sentences end in pads. Raises ConfigError, ModelError."""
    from strategies import ModelSpec

    if config.src_ids is None:
        return
    pad = pad_id(ModelSpec.of(config.model))
    found = read_sources(config.src_ids, pad)
    if found.padded:
        yield (
            f"src_ids={shown(config.src_ids)}: {found.padded} of {len(found.rows)} lines end in the pad id {pad}, "
            "which is masked and not decoded as a token"
        )


def of_generation(config: RunConfig) -> Iterator[str]:
    """A line where the checkpoint asks for other than greedy decoding. Raises ModelError."""
    from strategies import ModelSpec
    from strategies.models.checkpoints.generation import not_followed

    spec = ModelSpec.of(config.model)
    if spec.source != "checkpoint":
        return
    name, settings = not_followed(Path(str(spec.checkpoint)))
    if settings:
        listed = ", ".join(f"{key}={shown(value)}" for key, value in settings.items())
        yield (
            f"model.checkpoint={shown(spec.checkpoint)}: {name} asks for {listed}, which is not followed here: every "
            "strategy and contender decodes greedily"
        )
