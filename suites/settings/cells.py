"""A cell: everything that a measurement depends on except the strategy, with an id that is stable over runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass

from strategies import ModelSpec
from strategies.search import Stop

from ..machine.limits import threads_limit
from ..words.labels import plain
from .config import RunConfig, check
from .sources import pad_id, read_sources


@dataclass(frozen=True)
class Cell:
    """One case of a sweep. Lengths in tokens, ``threads`` within an operator.

    ``linear``: the kernel of products with weights (``strategies.models.kernels.linears``); ``weights``: their type
    there, "" where it is ``dtype`` (``strategies.models.kernels.narrow``).
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

    @property
    def id(self) -> str:
        """Readable, and unique through a hash of every field; of a checkpoint its content counts, not its path."""
        fields = dataclasses.asdict(self)
        if self.linear == "torch":  # ids are those of before there was a choice
            del fields["linear"]
        if not self.weights:
            del fields["weights"]
        if self.model.content is None:
            del fields["model"]["content"]
        else:  # what a folder holds, wherever it lies
            del fields["model"]["name"], fields["model"]["checkpoint"]
        text = json.dumps(fields, sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        model = re.sub(r"[^\w.-]+", "-", self.model.name).strip("-")
        rest = f"_b{self.batch_size}_s{self.src_len}_t{self.tgt_len}_{self.device}_{self.dtype}_{digest}"
        # A file's name has at most 255 bytes; the hash still tells models apart.
        return model.encode()[: 255 - len(rest)].decode(errors="ignore") + rest

    @property
    def rounding(self) -> str:
        """The type to whose precision strategies may differ: products of narrower weights are rounded to bf16."""
        return "bf16" if self.weights else self.dtype

    @property
    def weight_width(self) -> int:
        """Bytes of an element of the weights that a product reads."""
        return {"bf16": 2, "int8": 1}.get(self.weights, {"fp32": 4}.get(self.dtype, 2))

    @property
    def rows_max(self) -> int:
        """The most rows that a product with weights is fed: by prefill, or by the last step of full recompute."""
        return self.batch_size * max(self.src_len, self.tgt_len)

    @property
    def title(self) -> str:
        """For a line of progress."""
        linear = "" if self.linear == "torch" else f" linear={self.linear}"
        linear += f" weights={self.weights}" if self.weights else ""
        return (
            f"{self.model.name} {self.device}{linear} batch {self.batch_size}, {self.src_len} -> {self.tgt_len} tokens"
        )


def device_of(asked: str) -> str:
    """``auto`` is cuda where there is one."""
    if asked != "auto":
        return asked
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def make_cell(config: RunConfig) -> Cell:
    """The cell of a configuration. Raises ConfigError or ModelError for a value that no cell could have.

    ``device=auto`` becomes cuda where there is one. Values that do not go together stay, as a device that is not there
    does: ``obstacles`` says why such a case is ``skipped``.
    """
    check(config)
    spec = ModelSpec.of(config.model).identified()
    spec = dataclasses.replace(spec, name=plain(spec.name))
    src_len, batch_size = config.src_len or config.seq_len, config.batch_size
    src_ids = None if config.src_ids is None else read_sources(config.src_ids, pad_id(spec)).rows
    if src_ids is not None:
        src_len, batch_size = max(map(len, src_ids)), len(src_ids)
    return Cell(
        model=spec,
        src_len=src_len,
        tgt_len=config.tgt_len or config.seq_len,
        batch_size=batch_size,
        device=device_of(config.device),
        dtype=config.dtype,
        threads=config.threads or threads_limit().amount,
        seed=config.seed,
        stop="eos" if config.measure.stop == "eos" else "fixed",
        src_ids=src_ids,
        linear=config.linear,
        weights="" if config.weights in (None, config.dtype) else config.weights,
    )
