"""One cell from start to end: arms, equality, memory, rounds; each result written at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strategies import DTYPES, ModelConfig, ModelSpec, Strategy, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.linears import Linears, use_linear
from strategies.models.narrow import use_weights

from .admission import ORACLE, Admission
from .arms import Arm, StrategyArm
from .capacity import capacity, memory_bytes, why_too_large
from .cells import Cell
from .config import MeasureConfig
from .contenders import registry
from .contenders.running.cache import cache_of
from .contenders.running.lineup import line_up
from .equality import reason_of
from .facts import Facts
from .formulas import necessary
from .inputs import make_inputs
from .narrowing import narrowing
from .planning import contender_work, effort, predict, timed_passes
from .progress import Progress
from .results import ArmFacts, CellWriter, Status
from .rounds import Rounds


@lru_cache(maxsize=1)
def _model(
    spec: ModelSpec,
    dtype: str,
    device: str,
    seed: int,
    linear: str,
    weights: str,
    rows: tuple[int, int] | None,
    compiled: bool,
) -> tuple[EncoderDecoder, Linears]:
    """The model and what its kernel holds and chose; kept from one cell to the next.

    ``rows``: those that a cached step feeds, and the most of any product; None with torch's kernel, which serves all.
    ``compiled``: whether some steps will be.
    """
    model = load_model(spec, DTYPES[dtype], device, seed)
    if weights:
        return model, Linears(use_weights(model, weights))
    return model, use_linear(model, linear, *(rows or (1, 1)), compiled=compiled)


def run_cell(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    run_dir: Path,
    progress: Progress,
    contenders: Sequence[str] = (),
) -> list[ArmFacts]:
    """Measure strategies and contenders in one cell and write it to ``run_dir``; what fails is a row with a reason."""
    writer = CellWriter(run_dir, cell.id)
    facts = Facts([*(strategy.label for strategy in strategies), *contenders])
    try:
        if cell.device == "cuda" and not torch.cuda.is_available():
            writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
            facts.settle_open("skipped", "no CUDA device here")
            progress.skip(cell.title, effort(cell, strategies, measure, len(contenders)).work)
        else:
            _measure(cell, strategies, measure, writer, progress, facts, contenders)
    except KeyboardInterrupt:
        facts.settle_open("failed", "interrupted")
        raise
    except Exception as error:  # the cell is a row with a reason; the sweep goes on
        facts.settle_open("failed", reason_of(error))
        if not (writer.dir / "cell.json").exists():
            writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
    finally:
        writer.arms(facts.all())
    return facts.all()


def _plain(cell: Cell) -> dict[str, object]:
    return dataclasses.asdict(cell)


def _measure(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    writer: CellWriter,
    progress: Progress,
    facts: Facts,
    contenders: Sequence[str],
) -> None:
    torch.set_num_threads(cell.threads)
    torch.manual_seed(cell.seed)
    if cell.linear == "auto":
        progress.say("kernels")
    compiled = any(strategy.execution == "compiled" for strategy in strategies)
    model, linears = _model(
        cell.model, cell.dtype, cell.device, cell.seed, cell.linear, cell.weights, _rows(cell), compiled
    )
    weight_bytes = sum(p.nbytes for p in model.parameters()) + linears.copy_bytes
    inputs = make_inputs(cell, model.config)
    predicted = predict(cell, model.config, strategies)
    available = memory_bytes(measure.memory_gib, cell.device)
    padded = inputs.src_mask_BS is not None
    fits = {
        strategy.label: capacity(model.config, cell, strategy, padded, weight_bytes, available)
        for strategy in strategies
        if strategy.label in predicted
    }
    whole = model
    narrowed = None
    if cell.weights and not all(why_too_large(found, weight_bytes, available) for found in fits.values()):
        progress.say("narrower weights")
        whole = load_model(cell.model, DTYPES[cell.dtype], cell.device, cell.seed)
        spoken = cell.model.source == "pronounce"
        narrowed = dataclasses.asdict(narrowing(model, whole, inputs, cell.tgt_len, spoken))
    writer.cell(
        {
            **_plain(cell),
            "src_lens": inputs.src_lens,
            "real_fraction": inputs.real_fraction,
            "model_config": dataclasses.asdict(model.config),
            "measure": dataclasses.asdict(measure),
            "weight_bytes": weight_bytes,
            "narrowing": narrowed,
            "linear_choices": [dataclasses.asdict(choice) for choice in linears.choices],
            "memory_bytes": available,
            "formulas": {label: dataclasses.asdict(f) for label, f in predicted.items()},
            "capacity": {label: dataclasses.asdict(found) for label, found in fits.items()},
            "contenders": list(contenders),
            "necessary": _necessary(cell, model.config, contenders),
        }
    )
    work = dict.fromkeys(contenders, contender_work(predicted)) | {label: f.work for label, f in predicted.items()}
    progress.cell(cell.title)

    def drop(label: str, status: Status, why: str) -> None:
        facts.settle(label, status, why)
        progress.expect(-timed_passes(measure, cell.device) * work[label])

    for strategy in strategies:
        if strategy.execution == "graph" and cell.device == "cpu" and strategy.label in fits:
            drop(strategy.label, "skipped", "execution=graph needs a CUDA device")
            del fits[strategy.label]
    for label, found in fits.items():
        if reason := why_too_large(found, weight_bytes, available):
            drop(label, "failed", reason)
    admission = Admission(cell, model, inputs, facts, work, progress)
    arms = admission.arms([strategy for strategy in strategies if strategy.label in facts.open()])

    progress.say("contenders")
    seconds_max = measure.contender_seconds_max
    # Contenders are given the whole weights, and are judged by them.
    oracle = admission.oracle if whole is model else partial(StrategyArm, parse(ORACLE), whole, inputs, cell)
    with line_up(contenders, cell, model, inputs, seconds_max, oracle, drop, cache_of(writer.run_dir)) as others:
        progress.advance(sum(work[name] for name in contenders))
        timed, conditions = Rounds(
            cell,
            [*arms, *others],
            measure,
            writer,
            progress,
            work,
            lambda label, why: facts.settle(label, "failed", why),
        ).run()
    writer.conditions(conditions)
    oracle_BN = next((arm.token_BN for arm in timed if arm.label == ORACLE), None)
    for arm in timed:
        facts.note(arm.label, **_finished(arm, oracle_BN))


def _rows(cell: Cell) -> tuple[int, int] | None:
    """What the choice of a kernel depends on, so that cells of equal rows share a model."""
    if cell.linear == "torch":
        return None
    return cell.batch_size, cell.rows_max if cell.linear == "auto" else cell.batch_size


def _necessary(cell: Cell, config: ModelConfig, contenders: Sequence[str]) -> dict[str, Any]:
    """What bounds contenders, of whose own work nothing is known."""
    widths = {name: registry()[name].weight_bytes for name in contenders}
    bounds = {width: dataclasses.asdict(necessary(config, cell, width)) for width in set(widths.values())}
    return {name: bounds[width] for name, width in widths.items()}


def _finished(arm: Arm, oracle_BN: Tensor | None) -> dict[str, Any]:
    """Facts of an arm whose rounds are done; its tokens beside the oracle's, where that was timed too."""
    assert arm.token_BN is not None
    return {
        "status": "ok",
        "reason": arm.remark,
        "setup_s": arm.setup_s,
        "steps": arm.token_BN.shape[1],
        "row_lens": arm.row_lens(),
        "tokens_equal": None if oracle_BN is None else torch.equal(arm.token_BN, oracle_BN),
        **arm.figures(),
    }
