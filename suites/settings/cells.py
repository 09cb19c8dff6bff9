"""A cell: everything that a measurement depends on except the strategy, with an id that is stable over runs."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property

from strategies import ModelConfig, ModelError, ModelSpec
from strategies.search.options import Greedy, Search, Stop

from ..words.labels import plain
from ..words.quantity import counted
from ..words.search_told import FEATURES, IDS, search_told, sizes_with_units
from ..words.settings_told import changed_settings
from .config import ConfigError, RunConfig, check
from .features import FeatureFile, file_of
from .resources import device_here, device_of, threads_here, threads_of
from .rules import shown
from .search import search_of
from .sources import pad_id, positions_of_features, read_sources
from .texts import in_language, read_texts

LATER = ("linear", "weights", "attention", "tf32", "search", "src_features", "first_sentence")
"""Fields of a cell that the first versions lacked."""


@dataclass(frozen=True)
class Cell:
    """Everything that a measurement depends on except the strategy. A sweep measures one cell after another.

    ``src_len`` and ``tgt_len`` are in tokens, or ``src_len`` in positions of features, and ``batch_size`` in sentences.
    ``src_ids``, from a file of ids or of texts, and ``src_features`` are what a user gave; ``first_sentence`` is the
    number of the first line of a file of texts that is in the batch, 0 without such a file. ``threads`` is the number
    of CPU threads within an operator. ``linear`` is the kernel of products with weights
    (``strategies.models.kernels.linears``). ``weights`` is the element type of the weights in those products, "" where
    it is ``dtype`` (``strategies.models.kernels.narrow``). ``attention`` is torch's kernel of attention, and ``tf32``
    says whether CUDA rounds the inputs of float32 products to TensorFloat-32 (``strategies.models.torch_settings``).
    ``search`` is how the next tokens are chosen (``strategies.search``).
    """

    model: ModelSpec
    src_len: int
    tgt_len: int
    batch_size: int
    device: str
    dtype: str
    threads: int
    seed: int
    stop: Stop
    src_ids: tuple[tuple[int, ...], ...] | None = None
    linear: str = "torch"
    weights: str = ""
    attention: str = "auto"
    tf32: bool = False
    search: Search = Greedy()
    src_features: FeatureFile | None = None
    first_sentence: int = 0

    @cached_property
    def id(self) -> str:
        """Name of the cell's folder: readable, and unique through a hash of every field.

        The hash of a checkpoint or of a file of features covers its content, not its path.
        """
        fields = dataclasses.asdict(self)
        for field in dataclasses.fields(self):  # the id stays what it was before these fields existed
            if field.name in LATER and getattr(self, field.name) == field.default:
                del fields[field.name]
        if self.model.content is None:
            del fields["model"]["content"]
        else:  # the same checkpoint has the same id under any path
            del fields["model"]["name"], fields["model"]["checkpoint"]
        if self.src_features is not None:
            del fields["src_features"]["path"], fields["src_features"]["largest"]
        text = json.dumps(fields, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        model = re.sub(r"[^\w.-]+", "-", self.model.name).strip("-")
        search = {"greedy": "", "beam": f"_beam{self.beams}"}.get(self.search.kind, f"_{self.search.kind}")
        rest = f"_b{self.batch_size}{search}_s{self.src_len}_t{self.tgt_len}_{self.device}_{self.dtype}_{digest}"
        # A file name has at most 255 bytes. The hash still tells apart models whose names are cut to the same text.
        return model.encode()[: 255 - len(rest)].decode(errors="ignore") + rest

    @property
    def product_dtype(self) -> str:
        """Element type to which products round their inputs: bf16 with narrower weights, ``dtype`` otherwise.

        Native products with int8 weights round them to int8, with a scale for each row, which is about as near.
        """
        return "bf16" if self.weights else self.dtype

    @property
    def rounding(self) -> str:
        """Element type whose rounding sets how far the logits of two strategies may differ: tf32, or ``product_dtype``.

        Products with narrower weights are rounded to bf16.
        """
        return "tf32" if self.tf32 else self.product_dtype

    @property
    def weight_width(self) -> int:
        """Bytes per element of the weights that a product reads."""
        return {"bf16": 2, "int8": 1}.get(self.weights, {"fp32": 4}.get(self.dtype, 2))

    @property
    def beams(self) -> int:
        """W, the rows that each sentence has in the decoder: the number of beams, 1 without beam search."""
        return self.search.width

    @property
    def rows(self) -> int:
        """Rows of the decoder, B * W: a cached step feeds so many to each product with weights."""
        return self.batch_size * self.beams

    def rows_max(self, config: ModelConfig) -> int:
        """Largest number of rows that a product with weights is fed: by prefill, or by full recompute's last step.

        Full recompute feeds the forced tokens of ``config`` too. The one exception is ``cross=recompute`` with
        ``cross_beams=expanded``, which projects B * W sources.
        """
        return self.batch_size * max(self.src_len, self.beams * config.target_rows(self.tgt_len))

    @property
    def title(self) -> str:
        """Text that names the cell in a line of progress."""
        fields = dataclasses.asdict(self) | {
            "search": search_told(self.search),
            "num_beams": self.beams,
            "source": FEATURES if self.has_features else IDS,
        }
        kernels = "".join(f" {text}" for text in changed_settings(fields))
        return f"{self.model.name} {self.device}{kernels} {sizes_with_units(fields)}"

    @property
    def has_features(self) -> bool:
        """Whether the source is features, and no token ids; False for a checkpoint that can no longer be read."""
        with contextlib.suppress(ModelError):
            return positions_of_features(self.model) is not None
        return False


def why_no_tf32(config: RunConfig, device: str) -> str:
    """Say why ``tf32=true`` changes nothing, to follow "has no effect"; "" where it has an effect."""
    if device != "cuda":
        return f"with device={device}, as TensorFloat-32 is a type of CUDA devices; leave it out"
    if config.dtype != "fp32":
        return f"with dtype={config.dtype}, as it is about float32 products; give dtype=fp32, or leave it out"
    if config.weights not in (None, "fp32"):
        return f"with weights={config.weights}, whose products are of bfloat16; leave one of them out"
    return ""


def make_cell(config: RunConfig) -> Cell:
    """Make the cell of a configuration, the first where a file of texts gives several.

    ``device=auto`` becomes cuda where there is a CUDA device. Values that do not go together are kept, and so is a
    device that this machine lacks: ``obstacles`` says why such a cell is ``skipped``.

    Raises ConfigError or ModelError for a value that no cell could have.
    """
    return make_cells([config])[0][0]


def make_cells(configs: Iterable[RunConfig]) -> list[list[Cell]]:
    """Make the cells of each configuration as ``make_cell`` does, but ask the machine once, and read each file once.

    A file of texts gives a cell for each batch of its sentences, every other configuration one cell.
    """
    asked = _Asked()
    return [_cells_of(config, asked) for config in configs]


class _Asked:
    """What cells need of the machine and of files, asked when it is first needed."""

    def __init__(self) -> None:
        self.identified = cache(ModelSpec.identified)
        self.device = cache(device_here)
        self.threads = cache(threads_here)
        self.sources = cache(lambda path, pad: read_sources(path, pad).rows)
        self.texts = cache(read_texts)
        self.in_language = cache(in_language)
        self.features = cache(file_of)
        self.positions = cache(positions_of_features)


def _cells_of(config: RunConfig, asked: _Asked) -> list[Cell]:
    cell = _make_cell(config, asked)
    if config.src_text is None:
        return [cell]
    rows = asked.texts(config.src_text, cell.model)
    if config.batch_size > len(rows):
        told = f"{counted(len(rows), 'sentence')} of src_text={shown(config.src_text)}"
        raise ConfigError(f"batch_size={config.batch_size} is more than the {told}; give at most {len(rows)}")
    batches = [(first, rows[first : first + config.batch_size]) for first in range(0, len(rows), config.batch_size)]
    return [
        dataclasses.replace(
            cell, src_ids=batch, src_len=max(map(len, batch)), batch_size=len(batch), first_sentence=first + 1
        )
        for first, batch in batches
    ]


def _make_cell(config: RunConfig, asked: _Asked) -> Cell:
    """The cell of a configuration, without the sentences of a file of texts."""
    check(config)
    spec = asked.identified(ModelSpec.of(config.model))
    spec = dataclasses.replace(spec, name=plain(spec.name))
    if config.src_text is not None:
        spec = asked.in_language(spec)
    src_len = config.src_len or asked.positions(spec) or config.seq_len
    batch_size = config.batch_size
    src_ids = None if config.src_ids is None else asked.sources(config.src_ids, pad_id(spec))
    if src_ids is not None:
        src_len, batch_size = max(map(len, src_ids)), len(src_ids)
    src_features = None if config.src_features is None else asked.features(config.src_features)
    if src_features is not None:
        src_len, batch_size = src_features.positions, src_features.shape[0]
    device = device_of(config, asked.device)
    return Cell(
        model=spec,
        src_len=src_len,
        tgt_len=config.tgt_len or config.seq_len,
        batch_size=batch_size,
        device=device,
        dtype=config.dtype,
        threads=threads_of(config, asked.threads),
        seed=config.seed,
        stop="eos" if config.measure.stop == "eos" else "fixed",
        src_ids=src_ids,
        linear=config.linear,
        weights="" if config.weights in (None, config.dtype) else config.weights,
        attention=config.attention,
        tf32=config.tf32 and not why_no_tf32(config, device),
        search=search_of(config.search),
        src_features=src_features,
    )
