"""Steps without the harness: what `run` adds to a round, and how often anything waits for the device between steps.

`python -m tests.gpu_check.direct cuda|cpu LENGTH FIGURES MODEL...` appends one JSON object a line to FIGURES. Bare loop
and measured round decode in turn, in one process, so that their ratio is paired.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import yaml

from strategies import DTYPES, Beam, Greedy, ModelSpec, Session, begin, decode, load_model, parse
from strategies.search.options import Search
from suites.judging.ratios import paired_ratio
from suites.settings.cells import Cell
from suites.settings.inputs import Inputs, make_inputs
from suites.timing.clock import clocks
from suites.timing.one_round import one_round
from tests.command import ROOT

PAIRS = {"cuda": 24, "cpu": 3}
LEAST, ENOUGH_S = 6, 5.0
"""Of large models, fewer pairs of rounds: after ``LEAST`` of them, none is begun once ``ENOUGH_S`` seconds are over."""
LABELS = {
    "cuda": ["contiguous_kv", "static_kv", "static_kv(execution=graph,read=bucket)"],
    "cpu": ["contiguous_kv", "static_kv"],
}
TABLE = {
    "cuda": "static_kv(execution=graph,read=bucket,reorder=table)",
    "cpu": "static_kv(reorder=table)",
}
BEAM = Beam(num_beams=4)


def spec(name: str) -> ModelSpec:
    return ModelSpec.of(yaml.safe_load((ROOT / "conf" / "model" / f"{name}.yaml").read_text()))


def bare_loop(session: Session, inputs: Inputs) -> None:
    """The least that decodes a batch greedily at a fixed length: no marks, no generator."""
    session.prefill(inputs.source, inputs.src_mask_BS)
    config = session.model.config
    token_B = session.first_X
    lowest = torch.finfo(session.model.embedding.weight.dtype).min
    for _ in range(session.max_new):
        logits_BV = session.step(token_B)
        logits_BV[:, config.eos_id] = lowest
        token_B = logits_BV.argmax(-1)


def seconds(device: str, timed: Callable[[], object]) -> float:
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    timed()
    wait()
    return time.perf_counter() - start


def waits_between_steps(device: str, session: Session, inputs: Inputs, search: Search) -> int | None:
    """Calls that wait for the device from the second step to the last; None on a CPU, which has nothing to wait for."""
    if device != "cuda":
        return None
    sizes = session.batch, session.max_new
    searching = begin(search, session.model.config, *sizes, "fixed", inputs.source.device)
    session.prefill(inputs.source, inputs.src_mask_BS)
    steps = decode(session, searching, "fixed")
    next(steps)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in steps:
                pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(warning.message) for warning in told)


def measured(device: str, cell: Cell, session: Session, inputs: Inputs) -> dict[str, object]:
    clock = clocks(device)[0]
    bare_s, round_s = [], []
    start = time.monotonic()
    for pair in range(PAIRS[device] + 1):
        if pair > LEAST and time.monotonic() > start + ENOUGH_S:
            break
        bare_s.append(seconds(device, lambda: bare_loop(session, inputs)))
        round_s.append(seconds(device, lambda: one_round(session, inputs, "fixed", clock)))
    ratio = paired_ratio(round_s[1:], bare_s[1:])
    return {
        "waits": waits_between_steps(device, session, inputs, Greedy()),
        "bare_step_s": min(bare_s[1:]) / cell.tgt_len,
        "harness_ratio": ratio.value,
        "harness_low": ratio.low,
        "harness_high": ratio.high,
    }


def kept(figures: Path, found: dict[str, object]) -> None:
    print(json.dumps(found), flush=True)
    with figures.open("a") as file:
        print(json.dumps(found), file=file)


def main(device: str, length: int, figures: Path, *names: str) -> None:
    for name in dict.fromkeys(names):
        cell = Cell(spec(name), length, length, 1, device, "bf16", torch.get_num_threads(), 0, "fixed")
        model = load_model(cell.model, DTYPES[cell.dtype], device)
        inputs = make_inputs(cell, model.config)
        for label in LABELS[device]:
            start = time.perf_counter()
            session = Session(model, parse(label), 1, length, length)
            setup_s = time.perf_counter() - start
            found = measured(device, cell, session, inputs)
            kept(figures, {"model": name, "strategy": label, **found, "setup_s": setup_s})
        if name == names[0]:
            for label in (*LABELS[device], TABLE[device]):
                session = Session(model, parse(label), 1, length, length, beams=BEAM.width)
                waits = waits_between_steps(device, session, inputs, BEAM)
                kept(figures, {"model": name, "strategy": f"{label} with {BEAM.width} beams", "waits": waits})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
