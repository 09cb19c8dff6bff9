"""A strategy with a planted fault: it loses a row of its cache."""

from dataclasses import dataclass

from strategies.contiguous_kv import ContiguousKV, ContiguousStore


class LosingStore(ContiguousStore):
    """Never writes the fourth row."""

    def append(self, k_BGTK, v_BGTK, step):
        written = float(step.length != 4)
        return super().append(k_BGTK * written, v_BGTK * written, step)


@dataclass(frozen=True)
class Losing(ContiguousKV):
    label = "losing"

    def self_kv(self, shape):
        return LosingStore(shape)
