"""What the tests share: tiny models of both architectures, and every strategy with its options in turn."""

from __future__ import annotations

import dataclasses
import os
import signal
import types
import typing
from functools import cache
from typing import Any

import pytest

# Before torch is loaded, and for the processes that tests start: in a worker beside another, the threads of an operator
# wait for one another, which takes several times the processor time of one.
os.environ["OMP_NUM_THREADS"] = "1"
# torch's compiler takes the processor's word for its vector instructions, and does not compile a program for each set.
os.environ["TORCHINDUCTOR_VEC_ISA_OK"] = "1"
# It compiles in the process that asks: its own workers would each import torch anew, for every process of the tests.
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"

import torch
from hypothesis import settings

from strategies import ModelSpec, Strategy, StrategyError, load_model, registry
from strategies.models.stores import KVShape, Reordering
from strategies.strategy import Entry
from tests import frozen, smaller

smaller.use()
# Tests send it to themselves and to commands that they start. Under nohup it would be ignored by all of them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# All sizes differ, H*K = 15 from D = 14 among them, so that no dimension can stand in for another.
SHAPE = {
    "vocab_size": 29,
    "d_model": 14,
    "num_heads": 3,
    "d_kv": 5,
    "d_ff": 22,
    "encoder_layers": 1,
    "decoder_layers": 2,
}
ARCHITECTURES = {
    "t5": {"architecture": "t5", "gated": True, "tie_head": False, "scale_head": False, "relative_buckets": 8},
    "transformer2017": {"architecture": "transformer2017", "tie_head": True},
    "t5 grouped-query": {"architecture": "t5", "relative_buckets": 8, "num_heads": 8, "num_kv_heads": 2},
    "transformer2017 multi-query": {"architecture": "transformer2017", "num_kv_heads": 1},
}


@cache
def _tiny(architecture: str, dtype: torch.dtype, seed: int, changes: tuple):
    shape = {**SHAPE, **ARCHITECTURES[architecture], **dict(changes)}
    return load_model(ModelSpec("tiny", "random", shape=tuple(sorted(shape.items()))), dtype, seed=seed)


if not os.environ.get("DECODEBENCH_FUZZ"):  # otherwise each run tries examples of its own
    settings.register_profile("same", derandomize=True)
    settings.load_profile("same")


@pytest.fixture(autouse=True)
def _gradients_are_on() -> None:
    """No fixture that outlives its test has left gradients off: the tests of training after it would fail."""
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.fixture(scope="session")
def tiny_model():
    """``tiny_model(architecture, dtype, seed, **config)``: a model with random weights; equal calls share one."""

    def build(architecture: str, dtype: torch.dtype = torch.float32, seed: int = 0, **changes):
        return _tiny(architecture, dtype, seed, tuple(sorted(changes.items())))

    return build


@pytest.fixture(scope="session", params=list(ARCHITECTURES))
def architecture(request) -> str:
    """Each architecture in turn, and each with query heads that share K and V.

    A test of strategies and architectures tries every strategy with all of them. Where it has options, it tries it with
    two: a T5 and another, one of which shares K and V.
    """
    return request.param


LONG = [
    "test_papers.py", "test_conformance.py", "test_fake_cuda.py", "test_conformance_beams.py", "test_page.py",
    "test_store.py", "test_resume.py", "test_one_file_strategy.py", "test_isolation.py", "test_versus.py",
    "test_execution.py", "test_reference.py", "test_dropped_in.py", "test_spoiled_run.py", "test_role_table.py",
    "test_footprint.py", "test_one_file.py", "test_devices.py", "test_stopped_command.py", "test_executions.py",
    "test_capacity.py", "test_shapes_command.py", "test_quality.py", "test_beam_parity.py", "test_beam_rounds.py",
]  # fmt: skip
"""Files that take longest. They come first, or one of them would run alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the other two architectures, by turns; put long files first."""
    places = {name: place for place, name in enumerate(LONG)}
    items[:] = [item for item in items if _is_tried(item)]
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def _is_tried(item: Any) -> bool:
    case = getattr(item, "callspec", None)
    if case is None or "architecture" not in case.params or _chooses_architectures(item):
        return True
    place = case.indices["architecture"]
    return all(
        "(" not in value.label or (place + place // 2 + case.indices[name]) % 2 == 0
        for name, value in case.params.items()
        if isinstance(value, Strategy)
    )


def _chooses_architectures(item: Any) -> bool:
    return any("architecture" in mark.args[0] for mark in item.iter_markers("parametrize"))


# The target length of the conformance kit's short decodes.
TARGET = 6
# Sizes that an option asks for: larger than those targets, and small ones, of which TARGET spans several and a part.
LARGE = 32
SMALL = 1, 4
# A share that an option asks for, beside its default.
SHARE = 0.25


def _values(hint: object, default: object) -> tuple:
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if hint is bool:
        return False, True
    is_union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    if is_union and set(typing.get_args(hint)) == {int, types.NoneType}:
        return None, LARGE, *SMALL
    return {int: (default, *SMALL), float: (default, SHARE)}.get(hint, (default,))


@cache
def every_strategy(beams: bool = False) -> list[Strategy]:
    """Every registered strategy with its options in turn; what it refuses is left out.

    Each value of each option is tried beside the defaults of the others, and then the last value of each together.
    All execute eagerly: test_execution.py is for the others. Options of beams alone vary with ``beams``, and numbers
    without. With ``beams`` those are left out whose stores cannot be reordered.

    Options are its fields: each value of a ``Literal`` or ``bool``; for ``int`` its default and small sizes, for
    ``int | None`` none, a large size and small ones, for ``float`` its default and a smaller share. What cannot hold a
    target of ``TARGET`` tokens is left out.
    """
    found = []
    for entry in registry().values():
        hints, default = typing.get_type_hints(entry.strategy), entry.make()
        left = {"execution"} if beams else {"execution", *entry.strategy.of_beams}
        last: dict[str, object] = {}
        tried = [default]
        for name in (f.name for f in dataclasses.fields(entry.strategy) if f.name not in left):
            values = _values(hints[name], getattr(default, name))
            for value in values if not beams or isinstance(values[-1], (str, bool)) else ():
                if (made := _made(entry, {name: value}, beams)) and made != default:
                    last[name] = value
                    tried.append(made)
        together = _made(entry, last, beams)
        found += [one for one in (*tried, together) if one is not None and _fits(one, beams)]
    return list(dict.fromkeys(found))


def _made(entry: Entry, options: dict[str, object], beams: bool) -> Strategy | None:
    try:
        made = entry.make(**options)
        return made if longest(made, TARGET) == TARGET and _fits(made, beams) else None
    except StrategyError:
        return None


def _fits(strategy: Strategy, beams: bool) -> bool:
    """Whether its stores can be reordered, where they must be."""
    if not beams:
        return True
    shape = KVShape(2, 1, 1, TARGET, torch.float32, torch.device("cpu"), beams=2)
    return all(isinstance(store, Reordering) for store in strategy.bind(TARGET).open(shape, 1))


def longest(strategy: Strategy, target: int) -> int:
    """The longest target, up to this one, that its options allow; 0 if they allow none."""
    for length in range(target, 0, -1):
        try:
            strategy.bind(length)
        except StrategyError:
            continue
        return length
    return 0


@pytest.fixture(params=every_strategy(), ids=lambda strategy: strategy.label)
def strategy(request) -> Strategy:
    """Each registered strategy and option set in turn."""
    return request.param


@pytest.fixture(params=[s for s in every_strategy() if s.exact], ids=lambda strategy: strategy.label)
def exact_strategy(request) -> Strategy:
    """Those among them that are not approximate."""
    return request.param


@pytest.fixture(params=[s for s in every_strategy(beams=True) if s.exact], ids=lambda strategy: strategy.label)
def exact_beam_strategy(request) -> Strategy:
    """Those among them that are not approximate, with every option of beams."""
    return request.param


@pytest.fixture(params=every_strategy(beams=True), ids=lambda strategy: strategy.label)
def beam_strategy(request) -> Strategy:
    """Each with every option of beams."""
    return request.param


@pytest.fixture(params=[s for s in every_strategy() if s.bind(TARGET).static], ids=lambda strategy: strategy.label)
def static_strategy(request) -> Strategy:
    """Those among them that declare it: their steps are static."""
    return request.param


@pytest.fixture(scope="module", autouse=True)
def _frozen():
    """Objects of the modules before this one, too."""
    frozen.freeze()


@pytest.fixture(autouse=True)
def _one_thread():
    """Also after a test whose command was told another number, or took what the machine has."""
    torch.set_num_threads(1)
