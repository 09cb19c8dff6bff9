"""Why a cell cannot run: settings that do not go together, found before weights or sources are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import torch

from strategies import DTYPES, ModelConfig, ModelError, Strategy, config_of
from strategies.execution import is_captured
from strategies.models.kernels.compiling import why_not_compiled
from strategies.models.kernels.narrow import why_not_narrow, why_other_kernel
from strategies.models.kernels.packing import unavailable_on
from strategies.search.options import Beam

from .cells import Cell
from .config import NO_CUDA, WEIGHTS, ConfigError
from .executions import without_effect
from .faults import contained
from .features import why_other_source
from .rules import shown
from .sources import outside, too_long


def obstacle(
    cell: Cell, strategies: Sequence[Strategy] = (), contenders: Sequence[str] = (), *, here: bool = True
) -> str:
    """Say in one line why a cell cannot run; return "" where it can.

    With ``strategies``, a reason that rules out all of them counts too, unless there are ``contenders``. Without
    ``strategies`` the cell alone is checked. ``here``: it runs on this machine, so what this one lacks counts.

    Raises ModelError for a checkpoint that cannot be read, since no other setting would help.
    """
    if here and cell.device == "cuda" and not torch.cuda.is_available():
        return f"{NO_CUDA}; give device=cpu"
    if cell.weights and (cell.dtype != "fp32" or cell.weights not in WEIGHTS):
        return (
            f"weights={cell.weights} is not allowed with dtype={cell.dtype}; give dtype=fp32, the type of "
            "activations and K/V, or leave weights out"
        )
    if cell.weights and (line := why_other_kernel(cell.weights, cell.linear)):
        return line
    if cell.weights == "int8" and cell.device == "cuda" and cell.rows > 1:
        beams = f" and search.num_beams={cell.beams}" if cell.beams > 1 else ""
        return (
            f"weights=int8 is not allowed with batch_size={cell.batch_size}{beams} on CUDA, where its product is fast "
            f"for one row alone; give batch_size=1{' with search=greedy' if beams else ''}, or weights=bf16"
        )
    if line := _of_attention(cell):
        return line
    if cell.model.source == "pronounce" and cell.src_len < 2:
        return f"src_len={cell.src_len} holds no word; give at least 2: a letter and the end token"
    try:
        config = config_of(cell.model)
    except ModelError as error:
        if cell.model.source == "checkpoint":
            raise
        return str(error)
    if cell.weights and (line := why_not_narrow(config, cell.weights, cell.linear)):
        return line
    if cell.attention == "flash" and cell.device == "cuda" and config.for_encoder.positions == "relative":
        return "attention=flash takes no bias on CUDA, and relative positions add one; give efficient, math or auto"
    if line := why_other_source(config, cell.src_ids, cell.src_features):
        return line
    if line := _of_source(cell, config) or _of_lengths(cell, config):
        return line
    if isinstance(cell.search, Beam) and (line := cell.search.out_of_range(cell.tgt_len)):
        return f"search.{line}"
    if strategies and (line := without_effect(strategies, cell)):
        return line
    if here and (line := unavailable_on(cell.device, cell.linear, DTYPES[cell.dtype])):
        return line
    if here and cell.weights == "int8" and cell.device == "cuda" and (line := why_not_compiled("give weights=bf16")):
        return f"weights=int8 on cuda needs torch's compiler: {line}"
    rows = config.target_rows(cell.tgt_len)
    reasons = [_of_strategy(cell, strategy, rows) for strategy in strategies]
    return reasons[0] if reasons and all(reasons) and not contenders else ""


def require_possible(cell: Cell) -> None:
    """Raise ConfigError if the cell cannot run, with the reason."""
    if line := obstacle(cell):
        raise ConfigError(line)


def _of_source(cell: Cell, config: ModelConfig) -> str:
    """Why the model cannot read the ids or features of a file, which are of its kind."""
    if cell.src_ids is not None:
        return outside(cell.src_ids, config.source_vocabulary) or too_long(cell.src_ids, config.src_positions)
    most = torch.finfo(DTYPES[cell.dtype]).max
    if cell.src_features is None or cell.src_features.largest <= most:
        return ""
    wider = "dtype=fp32, or smaller features" if cell.dtype == "bf16" else "dtype=bf16 or dtype=fp32"
    return (
        f"src_features={shown(cell.src_features.path)} holds features as large as {cell.src_features.largest:.3g}, "
        f"beyond the {most:.3g} of {cell.dtype}; give {wider}"
    )


def _of_lengths(cell: Cell, config: ModelConfig) -> str:
    """Why the model has no positions for these lengths. Equal ones are those of seq_len."""
    line = config.beyond_positions(cell.src_len, cell.tgt_len)
    if not line or cell.src_len != cell.tgt_len or cell.src_ids is not None or config.mel_bins is not None:
        return line
    ends = [config.src_positions, config.tgt_positions and config.tgt_positions - config.target_rows(0)]
    most = min(end for end in ends if end is not None)
    if most < 1:  # the prefix alone is too long
        return line
    return f"seq_len={cell.src_len} lies beyond the positions of the model; give seq_len={most} or less"


def _of_attention(cell: Cell) -> str:
    """Why no attention of any model could use the kernel that is asked for; torch says the rest when it gets there."""
    asked = f"attention={cell.attention}"
    if cell.device == "cpu" and cell.attention in ("efficient", "cudnn"):
        return f"{asked} is a kernel of CUDA devices alone; on the CPU give flash, math or auto"
    if cell.device == "cuda" and cell.attention in ("flash", "cudnn") and cell.dtype == "fp32":
        return f"{asked} takes no float32 on CUDA; give dtype=bf16 or fp16, or attention=efficient"
    return ""


def why_skipped(cell: Cell, strategy: Strategy) -> str:
    """Say why a strategy is skipped in a cell that others can serve; "" where it is measured."""
    if strategy.execution == "graph" and cell.device == "cpu":
        return "execution=graph needs a CUDA device"
    if strategy.execution == "graph" and not is_captured(strategy, cell.device, cell.beams):
        return "execution=graph reads the same addresses at each step, and cross_beams=expanded moves K/V"
    if cell.beams == 1 and (options := of_beams(strategy)):
        return f"{options} changes nothing where a sentence has one beam"
    return ""


def of_beams(strategy: Strategy) -> str:
    """The options of a strategy that concern several beams and are not at their default, as text; "" without any."""
    return ",".join(
        f"{field.name}={getattr(strategy, field.name)}"
        for field in dataclasses.fields(strategy)
        if field.name in strategy.of_beams and getattr(strategy, field.name) != field.default
    )


def refuse_idle_beams(cells: Iterable[tuple[Cell, Sequence[Strategy]]]) -> None:
    """Raise ConfigError for a strategy with options of several beams if no cell that it is for has several."""
    found = [(cell, strategy) for cell, strategies in cells for strategy in strategies]
    served = {strategy.label for cell, strategy in found if cell.beams > 1}
    for _, strategy in found:
        if (options := of_beams(strategy)) and strategy.label not in served:
            raise ConfigError(
                f"{strategy.label}: {options} has no effect where a sentence has one beam; add search=beam, with "
                "search.num_beams=2 or more, or leave it out"
            )


def _of_strategy(cell: Cell, strategy: Strategy, rows: int) -> str:
    if reason := why_skipped(cell, strategy):
        return f"{strategy.label}: {reason}; leave it out"
    refusals: list[str] = []
    # A refusal is a Mistake, without a traceback. Anything else that bind raises becomes the row of this case.
    with contained(lambda fault: refusals.append("" if fault.traceback else fault.reason)):
        strategy.bind(rows)
    return "".join(refusals)
