"""What a decoding strategy declares, and the registry that finds strategies by name.

A strategy is a frozen dataclass whose fields are its options. It chooses a self-attention store, says whether cross
K/V are cached, and states closed facts about each step; the model turns those into FLOPs and bytes.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from .discovery import LEFT_OUT, import_all, leave_out
from .models.mistake import Mistake
from .models.shown import shown
from .models.stores import KVShape, SelfKV

Execution = Literal["eager", "compiled", "graph"]
CrossMode = Literal["cached", "recompute"]
CORE = ("full_recompute", "cross_kv", "contiguous_kv", "static_kv")


class StrategyError(Mistake):
    """A strategy that cannot be had; the message is one line: what, value, allowed, remedy."""


@dataclass(frozen=True)
class Strategy:
    """Base of every strategy. Override ``self_kv``, or ``open``, and whichever facts differ from a growing cache's.

    k counts the keys that the decoder's self-attention attends at a step, the new one included: 1, 2, ... N. Facts are
    asked of a strategy bound to a target length (``bind``). Rows are rows of one layer's K or V.
    """

    cross: CrossMode = "cached"
    execution: Execution = "eager"

    def bind(self, max_new: int) -> Self:
        """This strategy for targets of at most ``max_new`` tokens: defaults filled in; StrategyError if too long."""
        return self

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A new self-attention store for one layer."""
        raise NotImplementedError(f"{type(self).__name__} defines neither self_kv(shape) nor open(shape, layers)")

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        """New self-attention stores of one session, one for each decoder layer, in their order.

        By default ``self_kv`` makes each. Override it where layers share something: a pool of blocks and its table.
        ``models/stores.py`` says in which order the session and the decoder call them.
        """
        return [self.self_kv(shape) for _ in range(layers)]

    def rows_fed(self, k: int) -> int:
        """Decoder rows computed at the step that attends k keys."""
        return 1

    def keys_read(self, k: int) -> int:
        """Keys that a query row's product with K spans."""
        return k

    def variant(self, k: int) -> int:
        """Which compiled or captured step serves k keys: those of one number differ in the values of tensors alone.

        Or in the length of what ``Growing`` stores hold. By default there is one for each number of keys read.
        """
        return self.keys_read(k)

    def rows_copied(self, k: int) -> int:
        """Cache rows that are moved to make room for the new one."""
        return 0

    def rows_reserved(self, k: int) -> int:
        """Rows of memory that persist once this step is done."""
        return k

    def rows_used(self, k: int) -> int:
        """Those of them that hold keys."""
        return min(k, self.rows_reserved(k))

    @property
    def supports(self) -> frozenset[Execution]:
        """Ways to execute a step that give the same answer."""
        return frozenset({"eager"})

    @property
    def static(self) -> bool:
        """Whether K and V that are attended lie at one address in every step, and no step allocates anything as large.

        So they do where a step can be captured; others may declare it, and the conformance kit holds them to it.
        """
        return "graph" in self.supports

    def executed(self, execution: Execution) -> Self | None:
        """This strategy executed in that way, with other options where it must be; None where it cannot be."""
        found = dataclasses.replace(self, execution=execution)
        return found if execution in found.supports else None

    @property
    def label(self) -> str:
        """The shortest text that ``parse`` turns into an equal strategy: options at their default are left out."""
        candidates = []
        for name, entry in registry().items():
            if entry.strategy is type(self):
                default = entry.strategy(**dict(entry.preset))
                given = [
                    f"{f.name}={getattr(self, f.name)}"
                    for f in dataclasses.fields(self)
                    if getattr(self, f.name) != getattr(default, f.name)
                ]
                candidates.append((len(given), name, given))
        if not candidates:
            return repr(self)
        _, name, given = min(candidates)
        return f"{name}({','.join(given)})" if given else name


def _sound(made: Strategy) -> Strategy:
    """It, if it says what it is in the types that are asked for. Raises ValueError, or whatever its own code raises."""
    known = typing.get_args(Execution)
    if not (isinstance(made.supports, Set) and made.supports <= set(known)):
        raise ValueError(f"supports is {made.supports!r}; give a frozenset of {', '.join(known)}")
    if not (isinstance(made.label, str) and made.label.strip() and made.label.isprintable()):
        raise ValueError(f"label is {shown(made.label)}; give a text of one line that is not empty")
    return made


@dataclass(frozen=True)
class Entry:
    """A registered name: a strategy class with some of its options set."""

    strategy: type[Strategy]
    preset: tuple[tuple[str, Any], ...]
    summary: str

    def check(self) -> None:
        """Raise whatever hinders that it is made without options, is asked what it is, or that its options are told."""
        typing.get_type_hints(self.strategy)
        hash(_sound(self.strategy(**dict(self.preset))))

    def make(self, **options: Any) -> Strategy:
        """The strategy with these options over the preset. Raises StrategyError, whatever its own code raises."""
        try:
            found = self.strategy(**{**dict(self.preset), **options})
            hash(_sound(found))
        except StrategyError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            given = ",".join(f"{key}={value}" for key, value in options.items())
            told = f"{type(error).__name__}: {error}".split("\n")[0][:200]
            raise StrategyError(f"{self.strategy.__name__}({given}) of {self.strategy.__module__}: {told}") from error
        if found.execution not in found.supports:
            raise StrategyError(
                f"{found.label}: execution={found.execution} is not supported with these options; "
                f"{'give ' + ' or '.join(sorted(found.supports)) if found.supports else 'nothing is; leave them out'}"
            )
        return found


_ENTRIES: dict[str, Entry] = {}
AnyStrategy = TypeVar("AnyStrategy", bound=type[Strategy])


def register(name: str, summary: str | None = None, **preset: Any) -> Callable[[AnyStrategy], AnyStrategy]:
    """Class decorator: make a strategy known by ``name``; ``preset`` sets options that the name implies.

    ``summary`` is the line that ``list`` prints, by default the first line of the class docstring.
    """

    def add(strategy: AnyStrategy) -> AnyStrategy:
        if not (isinstance(strategy, type) and issubclass(strategy, Strategy)):
            raise StrategyError(f"{name!r} is registered for {strategy!r}; register a subclass of Strategy")
        if not re.fullmatch(r"\w+", name):
            raise StrategyError(f"the name {name!r} is not allowed; give letters, digits and underscores")
        taken = _ENTRIES.get(name)
        if taken is not None and taken.strategy.__qualname__ != strategy.__qualname__:
            raise StrategyError(f"the name {name!r} is taken by {taken.strategy.__module__}; register another")
        line = summary or (strategy.__doc__ or "").strip().split("\n")[0]
        _ENTRIES[name] = Entry(strategy, tuple(sorted(preset.items())), line)
        return strategy

    return add


_discovered = False


def _discover() -> None:
    """Import every module of this package and every entry point, so that each registers itself; keep what is sound."""
    import_all(__package__, CORE, "decodebench.strategies")
    for name, entry in list(_ENTRIES.items()):
        module = entry.strategy.__module__
        if module not in LEFT_OUT:
            try:
                entry.check()
                continue
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                leave_out(module, f"the strategy {name} of {module.replace('.', '/')}.py", error)
        del _ENTRIES[name]


def registry() -> dict[str, Entry]:
    """Every known name, in order: the core four as the field introduces them, then the rest by name."""
    global _discovered
    if not _discovered:
        _discovered = True  # before it is: a label that is checked on the way asks for the names
        _discover()
    rest = sorted(set(_ENTRIES) - set(CORE))
    return {name: _ENTRIES[name] for name in (*CORE, *rest) if name in _ENTRIES}
