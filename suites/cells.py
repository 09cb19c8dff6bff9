"""A cell: everything that a measurement depends on except the strategy, with an id that is stable over runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from strategies import ModelSpec
from strategies.greedy import Stop

from .config import ConfigError, RunConfig, check
from .labels import plain


@dataclass(frozen=True)
class Cell:
    """One case of a sweep. Lengths in tokens, ``threads`` within an operator.

    ``linear``: the kernel of products with weights (``strategies.models.linears``); ``weights``: their type there, ""
    where it is ``dtype`` (``strategies.models.narrow``).
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
        """Readable, and unique through a hash of every field."""
        fields = dataclasses.asdict(self)
        if self.linear == "torch":  # ids are those of before there was a choice
            del fields["linear"]
        if not self.weights:
            del fields["weights"]
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


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_ids(path: str) -> tuple[tuple[int, ...], ...]:
    """Source token ids of a file: one sentence a line, ids apart by spaces or commas. Raises ConfigError."""
    try:
        lines = Path(path).expanduser().read_text().splitlines()
        rows = tuple(tuple(int(x) for x in line.replace(",", " ").split()) for line in lines if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"src_ids={path} cannot be read: {error}") from None
    except ValueError as error:
        raise ConfigError(
            f"src_ids={path} holds no token ids ({error}); write whole numbers, a sentence a line"
        ) from None
    if not rows:
        raise ConfigError(f"src_ids={path} is empty; write whole numbers, a sentence a line")
    return rows


def make_cell(config: RunConfig) -> Cell:
    """The cell of a configuration. Raises ConfigError or ModelError.

    ``device=auto`` becomes cuda where there is one. A device that is named and not there stays: its case is
    ``skipped``.
    """
    check(config)
    spec = ModelSpec.of(config.model)
    spec = dataclasses.replace(spec, name=plain(spec.name))
    src_len, batch_size = config.src_len or config.seq_len, config.batch_size
    src_ids = None if config.src_ids is None else read_ids(config.src_ids)
    if src_ids is not None:
        src_len, batch_size = max(map(len, src_ids)), len(src_ids)
    if spec.source == "pronounce" and src_len < 2:
        raise ConfigError(f"src_len={src_len} holds no word; give at least 2: a letter and the end token")
    device = config.device
    if device == "auto":
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Cell(
        model=spec,
        src_len=src_len,
        tgt_len=config.tgt_len or config.seq_len,
        batch_size=batch_size,
        device=device,
        dtype=config.dtype,
        threads=config.threads or available_threads(),
        seed=config.seed,
        stop="eos" if config.measure.stop == "eos" else "fixed",
        src_ids=src_ids,
        linear=config.linear,
        weights="" if config.weights in (None, config.dtype) else config.weights,
    )
