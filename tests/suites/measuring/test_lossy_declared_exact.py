"""A strategy that loses something and says that it is exact is refused from the first length at which it loses.

The stores round or forget under ``exact = True``, which is the default.
"""

from dataclasses import dataclass, fields, replace

import pytest

from strategies import DTYPES, ModelSpec, load_model, parse
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

SHAPE = {"architecture": "t5", "vocab_size": 200, "d_model": 64, "num_heads": 4, "d_kv": 16, "d_ff": 128,
         "encoder_layers": 2, "decoder_layers": 2}  # fmt: skip
CELL = Cell(ModelSpec("small", "random", shape=tuple(sorted(SHAPE.items()))), 6, 8, 2, "cpu", "fp32", 1, 0, "fixed")


class Forgetful(ContiguousStore):
    """Attends the last ``window`` keys."""

    def __init__(self, shape, window):
        super().__init__(shape)
        self._window = window

    def append(self, k_BGTK, v_BGTK, step):
        k_BGMK, v_BGMK = super().append(k_BGTK, v_BGTK, step)
        return k_BGMK[:, :, -self._window :], v_BGMK[:, :, -self._window :]

    def key_position_M(self, step):
        return super().key_position_M(step)[-self._window :]


@dataclass(frozen=True)
class Window(ContiguousKV):
    """The last keys alone."""

    window: int = 4

    def self_kv(self, shape):
        return Forgetful(shape, self.window)

    def keys_read(self, k):
        return min(k, self.window)


class Rounded(ContiguousStore):
    """Rounds K, V or both to ``bits`` bits, with a scale per row and head."""

    def __init__(self, shape, bits, which):
        super().__init__(shape)
        self._levels, self._which = 2 ** (bits - 1) - 1, which

    def append(self, k_BGTK, v_BGTK, step):
        k_BGTK = self._rounded(k_BGTK) if "k" in self._which else k_BGTK
        v_BGTK = self._rounded(v_BGTK) if "v" in self._which else v_BGTK
        return super().append(k_BGTK, v_BGTK, step)

    def _rounded(self, x_BGTK):
        scale_BGT1 = x_BGTK.abs().amax(-1, keepdim=True) / self._levels
        return (x_BGTK / scale_BGT1).round() * scale_BGT1


@dataclass(frozen=True)
class Few(ContiguousKV):
    """Rows of few bits."""

    bits: int = 8
    which: str = "kv"

    def self_kv(self, shape):
        return Rounded(shape, self.bits, self.which)


def declared_exact(made):
    """The same strategy, of a class that says ``exact = True``."""
    kind = type(f"Exact{type(made).__name__}", (type(made),), {"exact": True})
    return kind(**{field.name: getattr(made, field.name) for field in fields(made)})


@pytest.fixture(scope="module")
def model():
    return load_model(CELL.model, DTYPES["fp32"], seed=CELL.seed)


def reason(model, strategy, target):
    """Why the proof of equality refuses a strategy at this target length, "" if it does not."""
    cell = replace(CELL, tgt_len=target)
    inputs = make_inputs(cell, model.config)
    oracle = StrategyArm(parse("full_recompute"), model, inputs, cell)
    (found,) = check(oracle, [StrategyArm(strategy, model, inputs, cell)], "fp32", oracle.search(), True)
    return found.reason


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_is_refused_from_the_first_target_that_is_longer(window, model):
    for target in range(1, 8):
        found = reason(model, Window(window=window), target)
        assert found.startswith(f"step {window + 1}: logits of row") if target > window else not found, target


@pytest.mark.parametrize("bits", [8, 4])
def test_rounded_values_are_refused_from_the_first_step_and_rounded_keys_from_the_second(bits, model):
    """A lone key is attended whatever its score is."""
    for target in (1, 2, 5):
        assert reason(model, Few(bits=bits), target).startswith("step 1: logits of row")
        assert reason(model, Few(bits=bits, which="v"), target).startswith("step 1: logits of row")
        found = reason(model, Few(bits=bits, which="k"), target)
        assert found.startswith("step 2: logits of row") if target > 1 else not found


def test_so_many_bits_that_nothing_is_lost_are_not_refused(model):
    assert not reason(model, Few(bits=24), 5)


@pytest.mark.parametrize(
    ("label", "first"),
    [("quantized_kv", 1), ("quantized_kv(bits=4)", 1), ("sliding_kv(window=2,sinks=1)", 4), ("pruned_cross_kv", 5),
     ("pruned_cross_kv(observe=1)", 2), ("pruned_cross_kv(keep=1.0)", 99)],
)  # fmt: skip
def test_shipped_approximate_strategies_begin_to_lose_where_their_pages_say(label, first, model):
    """Declared exact, each would be refused at that step, and at no shorter target."""
    for target in range(1, 8):
        found = reason(model, declared_exact(parse(label)), target)
        assert found.startswith(f"step {first}: logits of row") if target >= first else not found, target
