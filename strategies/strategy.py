"""What a decoding strategy declares, and the registry that finds strategies by name.

A strategy is a frozen dataclass whose fields are its options. It chooses a self-attention store, says whether cross
K/V are cached, and states facts about each step as functions of k. The model turns those into FLOPs and bytes.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeVar

from torch import Tensor

from .discovery import LEFT_OUT, import_all, leave_out
from .facts import CrossBeams, CrossMode, Facts
from .models.message_text import described, shown
from .models.mistake import Mistake
from .models.stores import CachedCross, CrossKV, CrossProject, KVShape, RecomputedCross, SelfKV

Execution = Literal["eager", "compiled", "graph"]
CORE = ("full_recompute", "cross_kv", "contiguous_kv", "static_kv")
"""The four basic strategies, in the order in which the field introduces them."""
SHIPPED = (
    "strategies.contiguous_kv",
    "strategies.cross_kv",
    "strategies.doubling_kv",
    "strategies.full_recompute",
    "strategies.paged_kv",
    "strategies.pruned_cross_kv",
    "strategies.quantized_kv",
    "strategies.sliding_kv",
    "strategies.static_kv",
)
"""The modules of strategies that this package ships. Any other is a user's: a file dropped in, or an entry point."""


class StrategyError(Mistake):
    """A strategy cannot be made or used. The message is one line: what, value, allowed, remedy."""


@dataclass(frozen=True)
class Strategy(Facts):
    """Base of every strategy. Override ``self_kv`` or ``open``, and the facts that differ from a growing cache's."""

    exact: ClassVar[bool] = True
    """Whether the logits are those of full recompute, but for rounding. One that is not equal is then *invalid*.

    A strategy with ``exact = False`` is *approximate*: its class docstring says what is lost, and its quality is
    measured before its time.
    """

    cross: CrossMode = "cached"
    execution: Execution = "eager"
    cross_beams: CrossBeams = field(default="shared", kw_only=True)
    """What the beams of a sentence keep of its source. ``shared``: one copy, which is never reordered. ``expanded``: a
    copy each, reordered with the beams, as most libraries do. ``expanded_once``: a copy each, never reordered."""

    of_beams: ClassVar[frozenset[str]] = frozenset({"cross_beams"})
    """Options that change nothing where each sentence has one sequence."""

    def bind(self, max_new: int) -> Self:
        """This strategy for targets of at most ``max_new`` tokens, with its defaults filled in.

        Raises StrategyError if such targets are too long for it.
        """
        return self

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A new self-attention store for one layer."""
        raise NotImplementedError(f"{type(self).__name__} defines neither self_kv(shape) nor open(shape, layers)")

    def open(self, shape: KVShape, layers: int) -> Sequence[SelfKV]:
        """New self-attention stores of one session, one per decoder layer, first layer to last.

        By default ``self_kv`` makes each. Override ``open`` where layers share something, such as a pool of blocks and
        its table. ``models/stores.py`` says in which order the session and the decoder call the stores.
        """
        return [self.self_kv(shape) for _ in range(layers)]

    def cross_kv(self, project: CrossProject, memory_BSD: Tensor) -> CrossKV:
        """What one layer keeps of the source, made at each prefill from the encoder's output, [B, S, D].

        ``project`` gives the layer's K and V of it.
        """
        return (CachedCross if self.cross == "cached" else RecomputedCross)(project, memory_BSD)

    @property
    def supports(self) -> frozenset[Execution]:
        """The executions that this strategy supports with these options. All of them give the same answer."""
        return frozenset({"eager"})

    @property
    def static(self) -> bool:
        """Whether the attended K and V lie at one address in every step and no step allocates anything as large.

        It is about sessions of one beam. With several, K and V may lie at two addresses, or be gathered to be read.
        By default this is so wherever a step can be captured. Any strategy may declare otherwise; the conformance kit
        checks those that declare it.
        """
        return "graph" in self.supports

    def executed(self, execution: Execution) -> Self | None:
        """This strategy with that execution, and other options if it needs them; None if it does not support it."""
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
    """Return ``made``, once its ``exact``, ``supports`` and ``label`` are known to have the right types.

    Raises ValueError if they do not, or whatever the strategy's own code raises.
    """
    exact = type(made).exact
    if type(exact) is not bool or "exact" in {f.name for f in dataclasses.fields(made)}:
        given = "an option" if type(exact) is bool else "a property" if isinstance(exact, property) else shown(exact)
        raise ValueError(f"exact is {given}; write exact = True or exact = False, without a type, in the class")
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
        """Raise whatever keeps the strategy from being made without options, described or hashed."""
        typing.get_type_hints(self.strategy)
        hash(_sound(self.strategy(**dict(self.preset))))

    def make(self, **options: Any) -> Strategy:
        """The strategy with these options over the preset.

        Raises StrategyError for any error of the strategy's own code, and for an execution that it does not support.
        """
        try:
            found = self.strategy(**{**dict(self.preset), **options})
            hash(_sound(found))
        except StrategyError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            given = ",".join(f"{key}={value}" for key, value in options.items())
            made = f"{self.strategy.__name__}({given}) of {self.strategy.__module__}"
            raise StrategyError(f"{made}: {described(error)}") from error
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

    ``summary`` is the line that ``list`` prints, by default the first line of the class docstring. The decorator raises
    StrategyError for what is no subclass of Strategy, and for a name that is taken or not allowed.
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
    """Import every module of this package and every entry point, which register themselves; drop unsound strategies."""
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
    """Every registered name -> its entry: first those of ``CORE``, then the rest by name."""
    global _discovered
    if not _discovered:
        _discovered = True  # set first: discovery checks labels, which call this function
        _discover()
    rest = sorted(set(_ENTRIES) - set(CORE))
    return {name: _ENTRIES[name] for name in (*CORE, *rest) if name in _ENTRIES}
