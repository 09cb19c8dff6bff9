"""One cell from start to end: arms, equality, memory, rounds; each result written at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from strategies import DTYPES, ModelSpec, Strategy, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder

from .arms import Arm, StrategyArm
from .cells import Cell
from .clock import clocks
from .config import MeasureConfig
from .contenders.running.lineup import line_up
from .equality import check, reason_of
from .inputs import Inputs, make_inputs
from .planning import contender_work, effort, predict, timed_passes
from .progress import Progress
from .results import ArmFacts, CellWriter, Status
from .rounds import Rounds

ORACLE = "full_recompute"
NOT_REACHED = "not reached"


@lru_cache(maxsize=1)
def _model(spec: ModelSpec, dtype: str, device: str, seed: int) -> EncoderDecoder:
    """The model, kept from one cell to the next."""
    return load_model(spec, DTYPES[dtype], device, seed)


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
    labels = [*(strategy.label for strategy in strategies), *contenders]
    facts = {label: ArmFacts(label, "failed", NOT_REACHED) for label in labels}
    try:
        if cell.device == "cuda" and not torch.cuda.is_available():
            writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
            _set(facts, list(facts), status="skipped", reason="no CUDA device here")
            progress.skip(cell.title, effort(cell, strategies, measure, len(contenders)).work)
        else:
            _measure(cell, strategies, measure, writer, progress, facts, contenders)
    except KeyboardInterrupt:
        _set(facts, _unreached(facts), "failed", "interrupted")
        raise
    except Exception as error:  # the cell is a row with a reason; the sweep goes on
        _set(facts, _unreached(facts), "failed", reason_of(error))
        if not (writer.dir / "cell.json").exists():
            writer.cell({**_plain(cell), "src_lens": [], "formulas": {}})
    finally:
        writer.arms(list(facts.values()))
    return list(facts.values())


def _plain(cell: Cell) -> dict[str, object]:
    return dataclasses.asdict(cell)


def _set(facts: dict[str, ArmFacts], labels: Sequence[str], status: Status, reason: str) -> None:
    for label in labels:
        facts[label] = dataclasses.replace(facts[label], status=status, reason=reason)


def _unreached(facts: dict[str, ArmFacts]) -> list[str]:
    return [label for label, fact in facts.items() if fact.reason == NOT_REACHED]


def _measure(
    cell: Cell,
    strategies: Sequence[Strategy],
    measure: MeasureConfig,
    writer: CellWriter,
    progress: Progress,
    facts: dict[str, ArmFacts],
    contenders: Sequence[str],
) -> None:
    torch.set_num_threads(cell.threads)
    torch.manual_seed(cell.seed)
    model = _model(cell.model, cell.dtype, cell.device, cell.seed)
    inputs = make_inputs(cell, model.config)
    predicted = predict(cell, model.config, strategies)
    writer.cell(
        {
            **_plain(cell),
            "src_lens": inputs.src_lens,
            "real_fraction": inputs.real_fraction,
            "model_config": dataclasses.asdict(model.config),
            "measure": dataclasses.asdict(measure),
            "weight_bytes": sum(p.nbytes for p in model.parameters()),
            "formulas": {label: dataclasses.asdict(f) for label, f in predicted.items()},
            "contenders": list(contenders),
        }
    )
    work = dict.fromkeys(contenders, contender_work(predicted)) | {label: f.work for label, f in predicted.items()}
    progress.cell(cell.title)
    arms = _allocate(cell, strategies, model, inputs, facts)
    arms = _equal(cell, arms, model, inputs, facts, work, progress)
    arms = _memory(cell, arms, facts, work, progress)

    def drop(label: str, status: Status, why: str) -> None:
        _set(facts, [label], status, why)
        progress.expect(-timed_passes(measure, cell.device) * work[label])

    def oracle() -> StrategyArm:
        return next((arm for arm in arms if arm.label == ORACLE), None) or StrategyArm(
            parse(ORACLE), model, inputs, cell
        )

    progress.say("contenders")
    seconds_max = measure.contender_seconds_max
    with line_up(contenders, cell, model, inputs, seconds_max, oracle, drop) as others:
        progress.advance(sum(work[name] for name in contenders))
        timed, conditions = Rounds(
            cell,
            [*arms, *others],
            measure,
            writer,
            progress,
            work,
            lambda label, why: _set(facts, [label], "failed", why),
        ).run()
    writer.conditions(conditions)
    oracle_BN = next((arm.token_BN for arm in timed if arm.label == ORACLE), None)
    for arm in timed:
        facts[arm.label] = _finished(facts[arm.label], arm, oracle_BN)


def _allocate(
    cell: Cell, strategies: Sequence[Strategy], model: EncoderDecoder, inputs: Inputs, facts: dict[str, ArmFacts]
) -> list[StrategyArm]:
    arms = []
    for strategy in strategies:
        try:
            arms.append(StrategyArm(strategy, model, inputs, cell))
        except Exception as error:
            _set(facts, [strategy.label], status="failed", reason=reason_of(error))
    return arms


def _equal(
    cell: Cell,
    arms: list[StrategyArm],
    model: EncoderDecoder,
    inputs: Inputs,
    facts: dict[str, ArmFacts],
    work: dict[str, int],
    progress: Progress,
) -> list[StrategyArm]:
    """The arms that agree with the oracle."""
    progress.say("equality")
    spare = [] if any(arm.label == ORACLE for arm in arms) else [StrategyArm(parse(ORACLE), model, inputs, cell)]
    # Full recompute judges the others; should it fail (it needs the most memory), the next that works does.
    for oracle in sorted([*spare, *arms], key=lambda arm: arm.label != ORACLE):
        rivals = [arm for arm in arms if facts[arm.label].reason == NOT_REACHED]
        try:
            found = check(
                oracle,
                rivals,
                cell.dtype,
                model.config.eos_id,
                fixed=cell.stop == "fixed",
                advance=lambda arm: progress.advance(work.get(arm.label, 0) / cell.tgt_len),
            )
            break
        except Exception as error:
            if oracle.label in facts:
                _set(facts, [oracle.label], "failed", reason_of(error))
    else:
        return []
    good = []
    for arm, agreement in zip(rivals, found, strict=True):
        facts[arm.label] = dataclasses.replace(facts[arm.label], max_logit_error=agreement.max_error)
        if agreement.reason:
            _set(facts, [arm.label], "failed" if agreement.failed else "invalid", agreement.reason)
        else:
            good.append(arm)
    return good


def _memory(
    cell: Cell, arms: list[StrategyArm], facts: dict[str, ArmFacts], work: dict[str, int], progress: Progress
) -> list[StrategyArm]:
    """Measure peak memory; an arm that fails at it is dropped."""
    good = []
    for arm in arms:
        progress.say("memory")
        try:
            peak = arm.peak_memory_bytes(clocks(cell.device)[0])
        except Exception as error:
            _set(facts, [arm.label], status="failed", reason=reason_of(error))
            continue
        facts[arm.label] = dataclasses.replace(facts[arm.label], peak_memory_bytes=peak)
        progress.advance(work[arm.label])
        good.append(arm)
    return good


def _finished(fact: ArmFacts, arm: Arm, oracle_BN: Tensor | None) -> ArmFacts:
    """The facts of an arm whose rounds are done; its tokens beside the oracle's, where that was timed too."""
    assert arm.token_BN is not None
    return dataclasses.replace(
        fact,
        status="ok",
        reason=arm.remark,
        setup_s=arm.setup_s,
        steps=arm.token_BN.shape[1],
        row_lens=arm.row_lens(),
        tokens_equal=None if oracle_BN is None else torch.equal(arm.token_BN, oracle_BN),
        **arm.figures(),
    )
