"""How the tokens of a cell are chosen: the keys ``search.*``, and the search that they make. It imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from strategies.search.options import SEARCHES, Beam, EarlyStopping, Greedy, Sample, Search

from .keys import key
from .rules import Rule, number, one_of, whole

EARLY = get_args(EarlyStopping)
MAX_PENALTY = 10
"""Greatest absolute value of a length penalty: a length to a higher power overflows."""
MAX_BEAMS = 1024
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.001, 1000
PENALTY = number(f"a number from -{MAX_PENALTY} to {MAX_PENALTY}", math.nextafter(-MAX_PENALTY, -math.inf), MAX_PENALTY)
TEMPERATURE = number(
    f"a number from {MIN_TEMPERATURE} to {MAX_TEMPERATURE}, or search=greedy for the most likely token at each step",
    math.nextafter(MIN_TEMPERATURE, 0),
    MAX_TEMPERATURE,
)
STOPPING = Rule(f"one of {', '.join(EARLY)}", lambda value: str(value).lower() in EARLY)


@dataclass
class SearchConfig:
    """Keys ``search.*``. The files of conf/search/ are presets."""

    kind: str = key(
        "greedy: the most likely token at each step; beam: beam search; sample: sampling from the softmax",
        "greedy",
        "|".join(SEARCHES),
        one_of(SEARCHES),
    )
    num_beams: int = key(
        "beam: sequences of each sentence that are continued at each step", 4, "beams", whole(1, MAX_BEAMS)
    )
    length_penalty: float = key(
        "beam: the score is the sum of log-probabilities over length ** this", 1.0, "number", PENALTY
    )
    early_stopping: Any = key(
        "beam: a sentence is done once as many sequences as beams have ended (true), once none that goes on would be "
        "better if it ended now (false), or could be better at any length (never)",
        False,
        "|".join(EARLY),
        STOPPING,
    )
    num_return: int = key("beam: sequences that are returned of each sentence", 1, "sequences", whole(1))
    temperature: float = key("sample: logits are divided by this", 1.0, "number", TEMPERATURE)
    top_k: int = key("sample: only so many of the most likely tokens are drawn; 0: all", 0, "tokens", whole(0))
    top_p: float = key(
        "sample: only the most likely tokens are drawn whose probabilities come to this; 1: all",
        1.0,
        "share",
        number("a share above 0 and at most 1", 0, 1),
    )


def disagreement(config: SearchConfig) -> str:
    """Say in one line which values do not go together; "" where all do."""
    if config.kind == Beam.kind and int(config.num_return) > int(config.num_beams):
        return (
            f"search.num_return={config.num_return} is above search.num_beams={config.num_beams}; give at most "
            f"{config.num_beams}, or more beams"
        )
    return ""


def search_of(config: SearchConfig) -> Search:
    """The search that a configuration, whose values are checked, asks for. Keys of other searches are left out."""
    if config.kind == Beam.kind:
        stopping = cast("EarlyStopping", str(config.early_stopping).lower())
        return Beam(int(config.num_beams), float(config.length_penalty), stopping, int(config.num_return))
    if config.kind == Sample.kind:
        return Sample(float(config.temperature), int(config.top_k), float(config.top_p))
    return Greedy()


def search_from(entries: Mapping[str, Any] | None) -> Search:
    """Read a search from the entry ``search`` of a cell, a dictionary of its fields.

    It is None in folders of versions in which every search was greedy.

    >>> search_from({"kind": "sample", "temperature": 0.5, "top_k": 0, "top_p": 1.0})
    Sample(temperature=0.5, top_k=0, top_p=1.0)
    """
    if entries is None:
        return Greedy()
    options = dict(entries)
    return SEARCHES[options.pop("kind")](**options)


def why_idle_search(name: str, config: SearchConfig, stop: str) -> str:
    """Say why the key ``search.<name>`` has no effect, to follow "has no effect"; "" where it has an effect."""
    if name != "kind" and name not in {field.name for field in fields(SEARCHES[config.kind])}:
        owner = next(kind for kind, one in SEARCHES.items() if name in {field.name for field in fields(one)})
        return f"with search={config.kind}; add search={owner}, or leave it out"
    if name == "early_stopping" and stop == "fixed":
        return "with measure.stop=fixed, where no sequence ends early; add measure.stop=eos, or leave it out"
    return ""
