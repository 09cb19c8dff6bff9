"""Marks: where a round takes them, and what a clock makes of them."""

from itertools import pairwise

import pytest
import torch

from strategies import Session, greedy, parse
from suites.metrics import TimedRound
from suites.settings.inputs import Inputs
from suites.timing.clock import CpuClock, CudaClock, clocks
from suites.timing.one_round import one_round, token_ids

BATCH, SOURCE, STEPS = 2, 5, 6


class CountingClock:
    """Time is the number of marks so far, so that each mark is known by its value."""

    def __init__(self, every_step: bool) -> None:
        self.every_step = every_step

    def start(self) -> None:
        self.marks = [0.0]

    def mark(self) -> None:
        self.marks.append(self.marks[-1] + 1)

    def step(self) -> None:
        if self.every_step:
            self.mark()

    def marks_s(self) -> list[float]:
        return self.marks


@pytest.fixture
def case(tiny_model):
    model = tiny_model("t5")
    src_BS = torch.randint(3, model.config.vocab_size, (BATCH, SOURCE), generator=torch.Generator().manual_seed(1))
    return Session(model, parse("static_kv"), BATCH, SOURCE, STEPS), Inputs(src_BS, None, (SOURCE,) * BATCH)


def test_the_cpus_marks_ascend_from_zero():
    clock = CpuClock()
    clock.start()
    for _ in range(100):
        clock.mark()
        clock.step()
    marks_s = clock.marks_s()
    assert marks_s[0] == 0
    assert len(marks_s) == 201
    assert all(later >= earlier for earlier, later in pairwise(marks_s))
    assert 0 < marks_s[-1] < 10


def test_start_forgets_earlier_marks():
    clock = CpuClock()
    clock.start()
    clock.mark()
    first = clock.marks_s()
    clock.start()
    assert clock.marks_s() == [0.0]
    assert len(first) == 2


@pytest.mark.parametrize(("every_step", "marks"), [(True, STEPS + 2), (False, 4)])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_a_round_marks_each_step_or_only_the_first_and_the_end(case, every_step, marks, stop):
    clock = CountingClock(every_step)
    tokens = one_round(*case, stop, clock)
    if stop == "fixed":
        assert len(tokens) == STEPS
    assert len(clock.marks) == (len(tokens) + 2 if every_step else 4) <= marks


@pytest.mark.parametrize("every_step", [True, False])
def test_a_round_of_one_step_has_no_gap_between_tokens(case, every_step):
    session, inputs = case
    clock = CountingClock(every_step)
    one_round(Session(session.model, parse("static_kv"), BATCH, SOURCE, 1), inputs, "fixed", clock)
    assert TimedRound.of(clock.marks_s(), every_step).itl_s.size == 0


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_a_round_returns_what_greedy_search_gives_and_so_does_the_next(case, stop):
    session, inputs = case
    session.prefill(inputs.source)
    wanted_BN = torch.stack(list(greedy(session, stop)), 1)
    for _ in range(2):
        assert torch.equal(token_ids(one_round(session, inputs, stop, CpuClock())), wanted_BN)


def test_the_cpu_needs_one_clock_and_cuda_one_for_throughput_and_one_for_gaps():
    (clock,) = clocks("cpu")
    assert isinstance(clock, CpuClock)
    assert [c.every_step for c in clocks("cuda")] == [False, True]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device; torch finds none")
@pytest.mark.parametrize("every_step", [True, False])
def test_cuda_events_ascend_from_zero(every_step):
    clock = CudaClock(every_step)
    clock.start()
    x = torch.ones(512, 512, device="cuda")
    for _ in range(5):
        x = x @ x / 512
        clock.step()
    clock.mark()
    marks_s = clock.marks_s()
    assert len(marks_s) == (7 if every_step else 2)
    assert marks_s[0] == 0
    assert all(later > earlier for earlier, later in pairwise(marks_s))
