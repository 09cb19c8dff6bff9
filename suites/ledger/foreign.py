"""The ledger of a T5 that is not ours, the one of ``transformers``, from what the recorder sees.

No formula gives its letters. They come from a shadow, a model whose sizes are primes, so that each recorded number has
one reading as a product of letters.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import sympy
import torch

from strategies import ModelConfig
from strategies.models.costs import Product

from ..probes.products import Recording, record
from ..settings.config import ConfigError
from .expected import TRAINING, Phase
from .recorded import Recorded, merged
from .rows import COLUMNS, rows_of
from .symbols import GROWING, Expression, evaluate, values
from .verify import SHADOW as SIZED
from .verify import LedgerError

NO_CACHE, DYNAMIC, STATIC = "use_cache=False", "dynamic cache", "static cache"
_NAMES = {"SelfAttention": "self_attn", "EncDecAttention": "cross_attn", "DenseReluDense": "ffn", "o": "out"}
"""Names of modules in transformers -> our names."""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Sizes of a recording: batch B, source S, target N, the step k, and the capacity C of a static cache."""

    batch: int
    source: int
    target: int
    step: int
    capacity: int


SHADOW = Lengths(SIZED.batch, SIZED.source, SIZED.target, SIZED.step, SIZED.capacity)


def build(config: ModelConfig) -> Any:
    """Build a ``T5ForConditionalGeneration`` of these sizes, random weights. Raises ConfigError if there is none."""
    if not config.is_t5:
        raise ConfigError("--module transformers builds a T5, and this model is none; give model=small or another T5")
    if config.group > 1:
        raise ConfigError(
            f"--module transformers builds a T5, which has as many K/V heads as heads, not {config.kv_heads} of "
            f"{config.num_heads}; leave model.num_kv_heads out"
        )
    try:
        from transformers import T5Config, T5ForConditionalGeneration
    except ImportError:
        raise ConfigError("transformers is not installed; pip install 'decodebench[peers]'") from None
    gated = "gated-gelu" if config.gated else "relu"
    shape: Any = T5Config
    shape = shape(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        d_kv=config.d_kv,
        d_ff=config.d_ff,
        num_heads=config.num_heads,
        num_layers=config.encoder_layers,
        num_decoder_layers=config.decoder_layers,
        feed_forward_proj=gated,
        tie_word_embeddings=config.tie_head,
        decoder_start_token_id=config.start_id,
    )
    model: Any = T5ForConditionalGeneration(shape)
    return model.eval()


def _record(model: Any, at: Lengths, advance: Callable[[], None]) -> Iterator[tuple[str, Phase, int | None, Recording]]:
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache, StaticCache

    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    src_BS = torch.randint(2, vocabulary, (at.batch, at.source), generator=generator)
    token_BN = torch.randint(2, vocabulary, (at.batch, max(2, at.target)), generator=generator)
    own = model.decoder.config
    # The name of the argument changed within transformers 5.
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    with record(model) as recording:
        model(input_ids=src_BS, decoder_input_ids=token_BN[:, : at.target], use_cache=False)
    yield TRAINING, "training", None, recording
    with record(model) as recording:
        encoded = model.encoder(input_ids=src_BS)
    yield NO_CACHE, "prefill", None, recording
    with record(model) as recording:
        model(encoder_outputs=encoded, decoder_input_ids=token_BN[:, : at.step], use_cache=False)
    yield NO_CACHE, "step", at.step, recording
    caches = {
        DYNAMIC: EncoderDecoderCache(DynamicCache(), DynamicCache()),
        STATIC: EncoderDecoderCache(
            StaticCache(config=own, max_cache_len=at.capacity), StaticCache(config=own, max_cache_len=at.source)
        ),
    }
    for label, cache in caches.items():
        with record(model) as recording:
            encoded = model.encoder(input_ids=src_BS)
        yield label, "prefill", None, recording
        for k in range(1, max(2, at.step) + 1):
            step = {"decoder_input_ids": token_BN[:, k - 1 : k], "use_cache": True, name: cache}
            if k in (1, at.step, max(2, at.step)):
                with record(model) as recording:
                    model(encoder_outputs=encoded, **step)
                yield label, "step", k, recording
            else:
                model(encoder_outputs=encoded, **step)
            advance()


def _renamed(recording: Recording) -> Recording:
    def ours(path: str) -> str:
        return ".".join(_NAMES.get(part, part) for part in path.split("."))

    products = [
        dataclasses.replace(r, product=dataclasses.replace(r.product, role=ours(r.product.role)))
        for r in recording.products
    ]
    return Recording(products, [])


def read_number(number: int, letters: dict[int, Expression]) -> Expression:
    """Read a number of the shadow's record as a product of letters; factors 2 and 3 may be numbers.

    Raises LedgerError if another prime is none of its sizes.

    >>> read_number(35, {5: GROWING["S"], 7: GROWING["N"]})
    N*S
    """
    product: Expression = sympy.Integer(1)
    for prime, power in sympy.factorint(number).items():
        if prime not in letters and prime > 3:
            raise LedgerError(f"{number} in the shadow's record is no product of its sizes {sorted(letters)}")
        product = product * letters.get(prime, sympy.Integer(prime)) ** power
    return product


def _letters_at(config: ModelConfig, at: Lengths, label: str, k: int | None) -> dict[Expression, int]:
    """Letters that can occur in one recording, with their numbers."""
    growing = {"B": at.batch, "S": at.source}
    if label == TRAINING:
        growing |= {"N": at.target}
    elif k is not None:
        growing |= {"k": k}
    if label == STATIC:
        growing |= {"C": at.capacity}
    return values(config, **growing)


def _read(config: ModelConfig, label: str, k: int | None, recording: Recording) -> dict[str, Product]:
    """Read a recording of the shadow in letters, by role. In a first step k is 1, so that no size can be read as k."""
    numbers = _letters_at(config, SHADOW, label, k)
    by_prime = {number: letter for letter, number in numbers.items() if number > 1}
    found = {}
    for p in merged(label, "step", k, recording).products:
        sizes = {size: read_number(getattr(p, size), by_prime) for size in ("batch", "rows", "inner", "cols")}
        found[p.role] = dataclasses.replace(p, **sizes)
    return found


def record_transformers(config: ModelConfig, at: Lengths, advance: Callable[[], None] = lambda: None) -> pd.DataFrame:
    """Record the ledger of transformers' T5: training, no cache, dynamic and static cache.

    The shadow's numbers are read as letters, and these must give the numbers of the real model. Products of a first
    step that later steps run too are read from a later step, where k is a prime. Raises LedgerError or ConfigError.
    """
    real = build(config)
    small = dataclasses.replace(
        SIZED.config(config), encoder_layers=config.encoder_layers, decoder_layers=config.decoder_layers
    )
    with torch.no_grad():
        seen = [(label, k, _renamed(r)) for label, _, k, r in _record(build(small), SHADOW, lambda: None)]
        letters = [_read(small, label, k, recording) for label, k, recording in seen]
        later = {label: read for (label, k, _), read in zip(seen, letters, strict=True) if k is not None and k > 1}
        rows: list[dict[str, object]] = []
        for read, (label, phase, k, recording) in zip(letters, _record(real, at, advance), strict=True):
            found = merged(label, phase, k, _renamed(recording))
            said = read | {
                role: product for role, product in later.get(label, {}).items() if phase == "step" and role in read
            }
            numbers = _letters_at(config, at, label, k)
            _require_same(said, found, numbers)
            rows += rows_of(found, list(said.values()), {**numbers, GROWING["N"]: at.target}, None)
    return _once(pd.DataFrame(rows, columns=COLUMNS).astype({"k": "Int64"}))


def _once(ledger: pd.DataFrame) -> pd.DataFrame:
    """Mark products that only the first step of a cache runs: they run once per sentence, not in every step."""
    for label in (DYNAMIC, STATIC):
        mine = (ledger["strategy"] == label) & (ledger["phase"] == "step")
        again = set(ledger.loc[mine & (ledger["k"] > 1), "role"])
        once = mine & (ledger["k"] == 1) & ~ledger["role"].isin(again)
        ledger.loc[once, ["phase", "when"]] = "first step", "once a sentence"
        ledger.loc[once, "k"] = pd.NA
    return ledger


def _require_same(letters: Mapping[str, Product], found: Recorded, numbers: dict[Expression, int]) -> None:
    for product in found.products:
        letter = letters.get(product.role)
        sizes = ("batch", "rows", "inner", "cols")
        said = [evaluate(getattr(letter, size), numbers) for size in sizes] if letter else None
        if said != [product.batch, product.rows, product.inner, product.cols]:
            raise LedgerError(f"{product.role} of {found.strategy}: the shadow reads {said}, the model ran {product}")
