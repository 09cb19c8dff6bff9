"""Short names of roles for people, from the module paths that the formulas and the recorder use."""

from __future__ import annotations

import re
from collections.abc import Iterable

PARTS = ("encoder", "self", "cross", "ffn", "lm_head")
_WITHIN = (
    "conv1", "conv2", "select", "qkv", "q", "k", "v", "kv", "append", "gather", "expand", "read", "scores", "context",
    "out", "wi", "wi_0", "wi_1", "wo",
)  # fmt: skip


def role_name(path: str) -> str:
    """Shorten a module path to a role name: "decoder" is left out, and attention is named by what it attends to.

    >>> role_name("decoder.self_attn.qkv"), role_name("encoder.self_attn.scores"), role_name("decoder.ffn.wi")
    ('self.qkv', 'encoder.self.scores', 'ffn.wi')
    """
    return re.sub(r"\b(self|cross)_attn\b", r"\1", path.removeprefix("decoder."))


def part_of(name: str) -> str:
    """The part of the model that a role belongs to: its first word, which is one of ``PARTS`` in our model.

    >>> part_of("self.scores"), part_of("encoder.ffn.wi")
    ('self', 'encoder')
    """
    return name.partition(".")[0]


def in_model_order(names: Iterable[str]) -> list[str]:
    """Sort role names in the order in which data flows through the model; names of other models follow, in their order.

    >>> in_model_order(["lm_head", "self.out", "cross.q", "self.qkv", "encoder.ffn.wi", "encoder.front_end.conv1"])
    ['encoder.front_end.conv1', 'encoder.ffn.wi', 'self.qkv', 'self.out', 'cross.q', 'lm_head']
    """

    def place(name: str) -> tuple[int, int, int]:
        first, *rest = name.split(".")
        if first not in PARTS:
            return len(PARTS), 0, 0
        block = PARTS.index(rest[0]) if len(rest) > 1 and rest[0] in PARTS else 0
        last = "read" if "read" in rest else rest[-1] if rest else ""
        return PARTS.index(first), block, _WITHIN.index(last) if last in _WITHIN else len(_WITHIN)

    return sorted(dict.fromkeys(names), key=place)
