"""The ledger of a T5 that is not ours, the one of ``transformers``, from what the recorder sees.

No formula gives its letters. They come from a shadow, a model whose sizes are primes, so that each recorded number has
one reading as a product of letters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import pandas as pd
import sympy
import torch

from strategies import ModelConfig
from strategies.models.costs import Product

from ..probes.recording import Recording
from .expected import TRAINING
from .recorded import Recorded, merged
from .rows import COLUMNS, rows_of
from .shadow import SHADOW as SIZED
from .sizes import values
from .symbols import GROWING, Expression, evaluate
from .transformers_t5 import DYNAMIC, STATIC, Lengths, build, recordings, renamed
from .verify import LedgerError

SHADOW = Lengths(SIZED.batch, SIZED.source, SIZED.target, SIZED.step, SIZED.capacity)


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
        seen = [(label, k, renamed(r)) for label, _, k, r in recordings(build(small), SHADOW, lambda: None)]
        letters = [_read(small, label, k, recording) for label, k, recording in seen]
        later = {label: read for (label, k, _), read in zip(seen, letters, strict=True) if k is not None and k > 1}
        rows: list[dict[str, object]] = []
        for read, (label, phase, k, recording) in zip(letters, recordings(real, at, advance), strict=True):
            found = merged(label, phase, k, renamed(recording))
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
