"""One cell from start to end: arms, equality, memory, rounds; each result written at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from strategies import DTYPES, ModelConfig, Strategy, config_of, load_model, parse

from ..machine.limits import Limit
from ..probes.finite import NotFiniteError
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import contained
from ..settings.inputs import make_inputs
from ..settings.obstacles import obstacle
from ..store.cell_folder import CellWriter
from ..store.records import ArmResult, Status
from ..words.progress import Progress
from ..work.capacity import device_memory, memory_given, why_too_large
from ..work.forecast import forecast
from ..work.formulas import necessary
from ..work.planning import contender_work, effort, timed_passes
from ..work.room import weight_bytes as weight_bytes_of
from ..work.room import why_no_room
from .admission import ORACLE, Admission
from .arms import Arm, StrategyArm
from .child_arms import ChildArms
from .loaded import loaded
from .narrowing import STRATEGY as NARROWED_BY
from .narrowing import narrowings
from .outcomes import Outcomes
from .repeats import repeats
from .rounds import Rounds


def run_cell(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    run_dir: Path,
    progress: Progress,
    children: ChildArms,
) -> list[ArmResult]:
    """Measure strategies and contenders in one cell and write it to ``run_dir``; what fails is a row with a reason."""
    contenders = children.names
    writer = CellWriter(run_dir, cell.id)
    outcomes = Outcomes([*(strategy.label for strategy in strategies), *contenders], writer.traceback)
    try:
        with contained(outcomes.fail_open):  # the cell is a row with a reason; the sweep goes on
            if reason := obstacle(cell, strategies, contenders):
                writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
                outcomes.settle_open("skipped", reason)
                progress.skip(cell.title, 0)
            else:
                _measure(cell, strategies, measure, writer, progress, outcomes, children)
        if not (writer.dir / "cell.json").exists():
            writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
    except KeyboardInterrupt:
        outcomes.settle_open("failed", "interrupted")
        raise
    finally:
        writer.arms(outcomes.all())
    return outcomes.all()


def _plain(cell: Cell) -> dict[str, object]:
    return dataclasses.asdict(cell)


def _measure(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    writer: CellWriter,
    progress: Progress,
    outcomes: Outcomes,
    children: ChildArms,
) -> None:
    contenders = children.names
    torch.set_num_threads(cell.threads)
    torch.manual_seed(cell.seed)
    config, available = config_of(cell.model), memory_given(measure.memory_gib, cell.device)
    if all((reasons := why_no_room(config, cell, strategies, available, padded=False)).values()):
        _refuse(cell, config, strategies, measure, writer, progress, outcomes, contenders, reasons, available)
        return
    if cell.linear == "auto":
        progress.say("kernels")
    compiled = any(strategy.execution == "compiled" for strategy in strategies)
    model, linears = loaded(cell, compiled)
    weight_bytes = sum(p.nbytes for p in model.parameters()) + linears.copy_bytes
    inputs = make_inputs(cell, model.config)
    padded = inputs.src_mask_BS is not None
    expected = forecast(cell, config, strategies, padded, weight_bytes, available, outcomes.fail)
    content = {
        **_plain(cell),
        "src_lens": inputs.src_lens,
        "real_fraction": inputs.real_fraction,
        "model_config": dataclasses.asdict(config),
        "measure": dataclasses.asdict(measure),
        "weight_bytes": weight_bytes,
        "linear_choices": [dataclasses.asdict(choice) for choice in linears.choices],
        "memory_bytes": available.amount,
        "memory_bound_by": available.bound_by,
        **expected.written(),
        "contenders": list(contenders),
        "necessary": _necessary(cell, config, children),
    }
    writer.cell(content)
    work = dict.fromkeys(contenders, contender_work(expected.totals))
    work |= {label: total.work for label, total in expected.totals.items()}
    progress.cell(cell.title)

    def drop(label: str, status: Status, why: str) -> None:
        outcomes.settle(label, status, why)
        progress.expect(-timed_passes(measure, cell.device) * work[label])

    for strategy in strategies:
        reason = expected.too_large.get(strategy.label)
        if strategy.execution == "graph" and cell.device == "cpu" and reason is not None:
            drop(strategy.label, "skipped", "execution=graph needs a CUDA device")
        elif reason:
            drop(strategy.label, "failed", reason)
    no_oracle = why_too_large(config, cell, parse(ORACLE), padded, weight_bytes, device_memory(cell.device))
    admission = Admission(cell, model, inputs, outcomes, work, progress, no_oracle)
    arms = admission.arms([strategy for strategy in strategies if strategy.label in outcomes.open()])

    whole = model
    if cell.weights and (arms or contenders):
        progress.say("narrower weights")
        whole = load_model(cell.model, DTYPES[cell.dtype], cell.device, cell.seed)
        no_room = "".join(why_no_room(config, cell, [parse(NARROWED_BY)], device_memory(cell.device), padded).values())
        narrowed: dict[str, Any] = {"narrowing_reason": no_room}
        if not no_room:
            with contained(lambda fault: narrowed.update(narrowing_reason=fault.located), NotFiniteError):
                found = narrowings(arms, whole, inputs, cell.model.source == "pronounce")
                narrowed = {name: dataclasses.asdict(changed) for name, changed in found.items()}
        writer.cell(content | narrowed)

    progress.say("contenders")
    seconds_max = measure.contender_seconds_max
    # Contenders are given the whole weights, and are judged by them.
    oracle = admission.oracle if whole is model else partial(StrategyArm, parse(ORACLE), whole, inputs, cell)
    with children.line_up(cell, model, inputs, seconds_max, oracle, drop, writer.run_dir, outcomes.kept) as others:
        progress.advance(sum(work[name] for name in contenders))
        with repeats(measure, [*arms, *others], cell, model.config, inputs.rows(), children) as again:
            progress.expect(-again.missing * timed_passes(measure, cell.device) * work.get(again.baseline, 0))
            timed, conditions = Rounds(
                cell,
                [*arms, *others],
                measure,
                writer,
                progress,
                work,
                outcomes.fail,
                again,
            ).run()
    writer.conditions(conditions)
    oracle_BN = next((arm.token_BN for arm in timed if arm.label == ORACLE), None)
    for arm in timed:
        with contained(partial(outcomes.fail, arm.label)):
            outcomes.note(arm.label, **_finished(arm, oracle_BN))


def _refuse(
    cell: Cell,
    config: ModelConfig,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    writer: CellWriter,
    progress: Progress,
    outcomes: Outcomes,
    contenders: Sequence[str],
    reasons: Mapping[str, str],
    memory: Limit,
) -> None:
    """A cell in which no strategy has room: rows with the reasons, and nothing of it is made."""
    writer.cell(
        {
            **_plain(cell),
            "src_lens": [],
            "model_config": dataclasses.asdict(config),
            "measure": dataclasses.asdict(measure),
            "weight_bytes": weight_bytes_of(config, cell),
            "memory_bytes": memory.amount,
            "memory_bound_by": memory.bound_by,
            "formulas": {},
            "contenders": list(contenders),
        }
    )
    progress.cell(cell.title)
    progress.expect(-effort(cell, strategies, measure, len(contenders)).work)
    for label, reason in reasons.items():
        outcomes.settle(label, "failed", reason)
    outcomes.settle_open("failed", f"no strategy has room to be compared with: {next(iter(reasons.values()))}")


def _necessary(cell: Cell, config: ModelConfig, children: ChildArms) -> dict[str, Any]:
    """What bounds contenders, of whose own work nothing is known."""
    widths = {name: children.weight_bytes(name) for name in children.names}
    bounds = {width: dataclasses.asdict(necessary(config, cell, width)) for width in set(widths.values())}
    return {name: bounds[width] for name, width in widths.items()}


def _finished(arm: Arm, oracle_BN: Tensor | None) -> dict[str, Any]:
    """Outcomes of an arm whose rounds are done; its tokens beside the oracle's, where that was timed too."""
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
