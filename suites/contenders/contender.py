"""What a contender is, and the registry that finds contenders by name.

A contender is a class in a file of its own. Those of this package are found by themselves, others by the entry point
``decodebench.contenders``. Import the library in ``prepare``, so that the name can be listed without it:
    @register("mine")
    class Mine(Contender):
        '''What `list contenders` says of it.'''

        requires = ("my-library",)

        def prepare(self, checkpoint, cell):
            self.model = my_library.load(checkpoint, threads=cell.threads)

        def round(self, source, stop):
            ...
            return Decoded(token_ids, marks_s)

By default it is measured on the CPU in float32 alone; ``Contender.dtypes`` declares more devices and types. By default
it decodes greedily alone; ``Contender.searches`` declares that it can do beam search. By default it decodes T5 models
alone; ``Contender.architectures`` declares others. It is skipped in other cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from strategies.discovery import import_all

from ..settings.config import ConfigError
from .decoded import Decoded
from .errors import ContenderError, UnavailableError

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source
    from ..timing.clock import Clock

__all__ = ["Contender", "ContenderError", "Decoded", "UnavailableError", "register", "registry"]


class Contender:
    """Base of every contender.

    ``prepare``, ``round`` and ``peak_memory_bytes`` run in its own process, which also asks for ``converted``.
    ``convert`` runs in another one that it starts for that alone. The rest is asked in the run's process.
    """

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    """Names of the distributions that must be installed."""
    install: ClassVar[str] = ""
    """The command that installs them, if it is not ``pip install`` and their names."""
    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",)}
    """Device ("cpu", "cuda") -> the cells' element types in which it decodes there.

    A device that is not named is never used. On CUDA ``round`` must respect ``clock``.
    """
    searches: ClassVar[tuple[str, ...]] = ("greedy",)
    """The searches by which it decodes, of "greedy" and "beam". It is skipped in cells of any other search.

    With "beam", ``round`` obeys ``cell.search`` (``strategies.search.options.Beam``) where it is not greedy.
    """
    architectures: ClassVar[tuple[str, ...]] = ("t5",)
    """The architectures that it decodes, by their names in ``ModelConfig``. It is skipped in cells of any other.

    ``round`` follows the rules of choice of ``config_of(cell.model)``, and its decoder's prefix, which is no part of
    the tokens that it returns.
    """
    exact: ClassVar[bool] = True
    """False if its weights are of another type than the cell's, so that other tokens are no mistake."""
    weight_bytes: ClassVar[int | None] = None
    """Bytes per element of its weights if they differ from the cell's type; its floor counts that many."""

    @classmethod
    def summary(cls) -> str:
        """One line for people: the first line of the docstring."""
        return (cls.__doc__ or "").strip().split("\n")[0].rstrip(".")

    @classmethod
    def missing(cls) -> str:
        """Return why it cannot run here, with the command that helps, or ""."""
        for distribution in cls.requires:
            try:
                version(distribution)
            except PackageNotFoundError:
                line = cls.install or " ".join(("pip install", *cls.requires))
                return f"{distribution} is not installed; {line}"
        return ""

    @classmethod
    def outside(cls, cell: Cell) -> str:
        """Return why the cell's device or element type is not among ``dtypes``, or ""."""
        if cell.device not in cls.dtypes:
            return f"it runs on {named(cls.dtypes)} alone, not on {cell.device}"
        if cell.dtype not in cls.dtypes[cell.device]:
            known = named(cls.dtypes[cell.device])
            return f"on {cell.device} it is given {known} weights, not {cell.dtype}; give dtype={known}"
        return ""

    @classmethod
    def unsearched(cls, cell: Cell) -> str:
        """Return why it does not decode by the cell's search, or "". No contender decodes by sampling."""
        if cell.search.kind == "sample":
            return "each library draws random numbers of its own, so no tokens could be compared; give search=greedy"
        if cell.search.kind not in cls.searches:
            return f"it decodes by search={named(cls.searches)} alone, not by search={cell.search.kind}"
        return ""

    @classmethod
    def unknown(cls, cell: Cell) -> str:
        """Return why it does not decode models of the cell's architecture, or ""."""
        from strategies import config_of

        architecture = config_of(cell.model).architecture
        if architecture not in cls.architectures:
            return f"it decodes {named(cls.architectures)} alone, and this model is of the architecture {architecture}"
        return ""

    @classmethod
    def own_rules(cls, cell: Cell) -> str:
        """Return in which rule its beam search differs from ours, which is that of transformers, or "".

        Other sequences are then no mistake, and are told. Where it returns "", as it does by default, sequences must be
        the oracle's, and scores too, if it gives any.
        """
        return ""

    @classmethod
    def supports(cls, cell: Cell) -> str:
        """Return why it cannot decode this cell, apart from its device, element type and search, or ""."""
        return ""

    @cached_property
    def clock(self) -> Clock:
        """The clock of the round to come, which its process sets before each round.

        On the CPU every round marks its steps. On CUDA there are two kinds of rounds, as of our own strategies. Where
        ``clock.every_step`` is false nothing may happen between steps that the library would not do by itself, and
        ``Decoded.every_step`` must be false.
        """
        from ..timing.clock import CpuClock

        return CpuClock()

    @property
    def converted(self) -> str:
        """Name of the folder beside the checkpoint that ``convert`` makes; "" if it makes none."""
        return ""

    def convert(self, checkpoint: Path) -> None:
        """Make that folder, in a process of its own, whose memory does not count as the contender's."""
        raise NotImplementedError

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load the Hugging Face folder ``checkpoint``, whose tokenizer calls id 17 "17", for this cell."""
        raise NotImplementedError

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Decode these sentences by ``cell.search``, at most ``cell.tgt_len`` tokens each.

        ``source`` holds the token ids of each, without padding, or an array of features, float32 [B, mel, 2 S]. With
        ``fixed``, decode exactly that many and never choose EOS. Beam search returns the best ``num_return`` sequences
        of each sentence. The clock starts when the input has the form that the library wants.
        """
        raise NotImplementedError

    def peak_memory_bytes(self, source: Source, stop: Literal["fixed", "eos"]) -> int | None:
        """Decode untimed and return the peak bytes of live tensors above the loaded weights; None where not known.

        It is asked for on CUDA alone, once, after ``prepare``. Only a figure that may stand beside those of our own
        strategies counts: requested bytes, of steps that are neither compiled nor captured.
        """
        return None


def named(values: Iterable[str]) -> str:
    """Values as a text that lists them.

    >>> named(["fp32"]), named(["fp32", "bf16", "fp16"])
    ('fp32', 'fp32, bf16 or fp16')
    """
    *first, last = values
    return f"{', '.join(first)} or {last}" if first else last


_CONTENDERS: dict[str, type[Contender]] = {}
AnyContender = TypeVar("AnyContender", bound=type[Contender])


def register(name: str) -> Callable[[AnyContender], AnyContender]:
    """Class decorator: register a contender as ``name``. ``list`` prints the first line of its docstring."""

    def add(contender: AnyContender) -> AnyContender:
        taken = _CONTENDERS.get(name)
        if taken is not None and taken.__qualname__ != contender.__qualname__:
            raise ConfigError(f"the contender's name {name!r} is taken by {taken.__module__}; register another")
        contender.name = name
        _CONTENDERS[name] = contender
        return contender

    return add


@cache
def _discover() -> None:
    import_all(__package__, ("ct2", "hugging_face"), "decodebench.contenders")


def registry() -> dict[str, type[Contender]]:
    """Every known contender by name."""
    _discover()
    return dict(sorted(_CONTENDERS.items()))
