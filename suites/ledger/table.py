"""The ledger as a table, written as ledger.csv: one row per matrix product of a phase, in letters and in numbers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from io import StringIO
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from strategies import ModelConfig, Strategy
from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.faults import blamed
from ..settings.inputs import Inputs
from ..store.files import ResultsError, read_text, write_text
from ..store.frame import as_csv, from_csv
from ..words.labels import plain
from . import expected
from .recorded import Recorded, record_decoding, record_training
from .rows import COLUMNS, TEXT, rows_of
from .sizes import values
from .symbols import Expression
from .verify import (
    check_shadow,
    facts_of,
    formula_of,
    in_numbers,
    numbers_at,
    require_equal,
    require_selected,
    require_stored,
)


def steps_to_record(last: int, chosen: int, first: int = 1) -> list[int]:
    """Return the steps to record: the first three, a few per power of two, the chosen one and the last.

    ``first`` is the k of the first step, P after a prefix of P tokens.

    >>> steps_to_record(40, 20), steps_to_record(12, 5, first=4)
    ([1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40], [4, 5, 6, 8, 12])
    """
    powers = {2**i for i in range(last.bit_length())} | {3 * 2**i for i in range(last.bit_length())}
    return sorted({k for k in powers | {*range(first, first + 3), chosen, last} if first <= k <= last})


def default_step(steps: int, first: int = 1) -> int:
    """Return the step that is shown by default, at a third of the way, where k is neither N nor C yet.

    ``first`` is the k of the first step.

    >>> default_step(64), default_step(1), default_step(6, first=4)
    (21, 1, 4)
    """
    return max(first, steps // 3)


def make_ledger(
    model: EncoderDecoder,
    strategies: Sequence[Strategy],
    sources: Sequence[tuple[Inputs, Collection[int]]],
    tgt_len: int,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
    token_BN: Tensor | None = None,
    beams: int = 1,
) -> pd.DataFrame:
    """Record training and every strategy on each of ``sources``, with the steps to record of each.

    Training and, if ``beams`` is 1, steps are fed ``token_BN``, int64 [B, N], or seeded random tokens if it is None.
    Several beams of a sentence are fed seeded random tokens. Raises LedgerError if a formula and the running model
    differ, StrategyError if a strategy cannot hold ``tgt_len`` tokens.
    """
    check_shadow(model.config, strategies, beams)
    rows: list[dict[str, object]] = []
    for inputs, steps in sources:
        batch, src_len = inputs.batch, inputs.src_len
        if token_BN is None:
            token_BN = seeded_tokens(model.config.vocab_size, batch, tgt_len, seed).to(inputs.source.device)
        sizes = values(model.config, beams, B=batch, S=src_len, N=tgt_len)
        rows += _checked(model.config, None, record_training(model, inputs, token_BN), sizes)
        token_XN, width = token_BN, model.embedding.weight.element_size()
        if beams > 1:
            token_XN = seeded_tokens(model.config.vocab_size, batch * beams, tgt_len, seed).to(token_BN.device)
        for strategy in strategies:
            with blamed(strategy.label):
                bound, known = strategy.bind(model.config.target_rows(tgt_len)), facts_of(strategy, beams)
                for found in record_decoding(model, strategy, inputs, token_XN, steps, advance, beams):
                    numbers = {**sizes, **numbers_at(bound, found.k, model, src_len, beams)}
                    require_stored(found, known, numbers, width)
                    require_selected(model.config, found, known, numbers, width)
                    rows += _checked(model.config, known, found, numbers)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"k": "Int64"})


def seeded_tokens(vocabulary: int, batch: int, tgt_len: int, seed: int) -> Tensor:
    """Return random token ids, int64 [B, N]."""
    return torch.randint(vocabulary, (batch, tgt_len), generator=torch.Generator().manual_seed(seed))


def _checked(
    config: ModelConfig, known: expected.Facts | None, found: Recorded, numbers: dict[Expression, int]
) -> Iterator[dict[str, object]]:
    letters = formula_of(config, known, found)
    require_equal(in_numbers(letters, numbers), found)
    return rows_of(found, letters, numbers, known)


def write_ledger(ledger: pd.DataFrame, run_dir: Path, name: str = "ledger.csv") -> Path:
    """Write the ledger, whole or not at all, and return its path."""
    path = run_dir / name
    write_text(path, as_csv(ledger))
    return path


def read_ledger(run_dir: Path, name: str = "ledger.csv") -> pd.DataFrame:
    """Read the table that ``write_ledger`` wrote; it equals the original. Raises ResultsError."""
    path = run_dir / name
    content = read_text(path)
    try:
        ledger = pd.read_csv(
            StringIO(content),
            dtype=dict.fromkeys(TEXT, "str") | {"k": "Int64"},
            keep_default_na=False,
            na_values={"k": [""]},
        )
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise ResultsError(f"{path} is no ledger ({plain(str(error).strip())}); write it again with `shapes`") from None
    if missing := [name for name in COLUMNS if name not in ledger]:
        raise ResultsError(f"{path} lacks {', '.join(missing)}; write it again with `shapes`")
    lettered = [name for name in TEXT if name.startswith("shape") or name.endswith("_letters")]
    ledger[lettered] = ledger[lettered].replace("K", "d", regex=True)  # earlier versions wrote the head size as K
    return from_csv(ledger)
