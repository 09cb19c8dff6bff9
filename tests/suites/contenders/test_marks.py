"""The two kinds of rounds on CUDA, with a clock that stands in for its events: all steps marked, or four marks."""

import dataclasses
import importlib.util
import math

import pytest
import torch

from strategies.models.torch_settings import kept
from suites.contenders import Contender, ContenderError, Decoded, registry
from suites.contenders.generate_marks import Marks
from suites.contenders.running import arm as arm_module
from suites.contenders.running import child
from suites.contenders.running.agreement import padded
from suites.contenders.running.arm import ContenderArm
from suites.contenders.running.child import Served
from suites.contenders.running.own_strategy import Own
from suites.timing.clock import CpuClock
from tests.suites.contenders.conftest import SRC_IDS, STEPS, Events, cell_of, decode

NAMES = ["transformers_dynamic", "transformers_static", "transformers_no_cache"]
KINDS = [True, False]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)
needs_ctranslate2 = pytest.mark.skipif(
    importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)


def require_marks(decoded, every_step, steps, prefill_known=True):
    """Fail unless the marks of a round are of its kind, from 0 on, each later than the one before."""
    assert decoded.every_step == every_step
    assert len(decoded.marks_s) == (steps + 2 if every_step else 4)
    known = [mark for mark in decoded.marks_s if not math.isnan(mark)]
    assert known == sorted(set(known))
    assert known[0] == 0
    assert math.isnan(decoded.marks_s[1]) != prefill_known


@needs_transformers
def test_its_process_has_the_tensorfloat_32_of_the_cell(checkpoint, cell):
    with kept():
        for tf32 in (True, False):
            contender = registry()["transformers_dynamic"]()
            contender.prepare(checkpoint, dataclasses.replace(cell, tf32=tf32))
            assert torch.backends.cuda.matmul.allow_tf32 == tf32


@needs_transformers
@pytest.mark.parametrize("every_step", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_transformers_marks_each_step_or_only_the_first_and_the_end(prepared, name, cell, every_step):
    contender = prepared(name, cell)
    contender.clock = clock = Events(every_step)
    decoded = contender.round(SRC_IDS, cell.stop)
    steps = max(map(len, decoded.token_ids))
    require_marks(decoded, every_step, steps)
    assert padded(decoded.token_ids, 0).tolist() == decode(cell).tolist()
    # Of the last token there are two marks, at its scores and at the return; without step marks, four are all.
    assert len(clock.recorded_s) == (steps + 3 if every_step else 4)


@needs_transformers
def test_a_streamer_is_for_the_cpu_alone_as_it_waits_for_the_tokens(prepared, fixed_cell, monkeypatch):
    contender = prepared("transformers_dynamic", fixed_cell)
    given, real = [], contender.model.generate
    monkeypatch.setattr(contender.model, "generate", lambda **asked: given.append(asked["streamer"]) or real(**asked))
    for clock in (Events(True), Events(False), CpuClock()):
        contender.clock = clock
        contender.round(SRC_IDS, "fixed")
    assert [streamer is not None for streamer in given] == [False, False, True]


@needs_transformers
@pytest.mark.parametrize("every_step", KINDS)
def test_one_token_has_the_marks_of_its_kind_too(checkpoint, every_step):
    contender = registry()["transformers_dynamic"]()
    contender.prepare(checkpoint, dataclasses.replace(cell_of("fixed"), tgt_len=1))
    contender.clock = Events(every_step)
    require_marks(contender.round(SRC_IDS, "fixed"), every_step, 1)


def test_a_step_whose_token_is_not_returned_has_no_mark():
    """A version of ``generate()`` may ask for one step more, before it knows that all sentences have ended."""
    clock = Events(True)
    marks = Marks(clock)
    marks.start()
    marks.encoded()
    for _ in range(4):
        marks.chosen()
    found_s = marks.ended(3)
    assert len(found_s) == 3 + 2
    assert found_s[-1] == clock.marks_s()[-1]


@needs_ctranslate2
@pytest.mark.parametrize("every_step", KINDS)
def test_ctranslate2_marks_each_step_or_only_the_first_and_the_end(prepared, cell, every_step):
    contender = prepared("ctranslate2_float32", cell)
    contender.clock = Events(every_step)
    decoded = contender.round(SRC_IDS, cell.stop)
    require_marks(decoded, every_step, max(map(len, decoded.token_ids)), prefill_known=False)


@pytest.mark.parametrize("every_step", KINDS)
def test_our_own_strategy_in_a_child_marks_each_step_or_only_the_first_and_the_end(cell, every_step, tmp_path):
    own = Own("static_kv")
    own.prepare(tmp_path, cell)
    own.clock = Events(every_step)
    decoded = own.round(SRC_IDS, cell.stop)
    require_marks(decoded, every_step, max(map(len, decoded.token_ids)))
    assert padded(decoded.token_ids, 0).tolist() == decode(cell).tolist()


class Notes(Contender):
    def prepare(self, checkpoint, cell):
        self.asked = []

    def round(self, src_ids, stop):
        self.asked.append(self.clock.every_step)
        return Decoded([[3]], [0.0, 0.1, 0.2], self.clock.every_step)

    def peak_memory_bytes(self, src_ids, stop):
        return 17


def test_a_child_on_cuda_runs_the_kind_that_is_asked_for_and_does_not_rest(request_of, fixed_cell, monkeypatch):
    monkeypatch.setattr(child, "clocks", lambda device: [Events(False), Events(True)])
    monkeypatch.setattr(child, "wait_until_quiet", lambda: pytest.fail("rested"))
    contender = Notes()
    served = Served(contender)
    request = request_of(dataclasses.replace(fixed_cell, device="cuda"))
    assert served.prepare(request)["peak_memory_bytes"] == 17
    answers = [served.round({"every_step": every_step}) for every_step in (False, True, False)]
    assert contender.asked == [answer["every_step"] for answer in answers] == [False, True, False]


def test_peak_memory_is_not_asked_for_on_the_cpu(request_of, fixed_cell):
    assert Served(Notes()).prepare(request_of(fixed_cell))["peak_memory_bytes"] is None


@needs_transformers
def test_what_transformers_needs_above_its_weights_is_the_same_each_time(prepared, fixed_cell):
    peaks = {prepared("transformers_static", fixed_cell).peak_memory_bytes(SRC_IDS, "fixed") for _ in range(2)}
    assert len(peaks) == 1
    rows = STEPS + fixed_cell.src_len  # K/V of both layers, of 2 sentences with 3 heads of 5 floats
    assert peaks.pop() > 2 * 2 * 4 * 2 * 3 * 5 * rows


class Answers:
    """In place of a contender's process: it gives the same answer to every round."""

    pid = 0
    marks_s, every_step = [0.0, 1.0, 2.0, 3.0], False

    def __init__(self, *_):
        self.asked = []

    def ask(self, **request):
        if request["do"] == "prepare":
            return {"setup_s": 0.0, "peak_memory_bytes": 5, "rss_bytes": 8}
        self.asked.append(request["every_step"])
        return {
            "token_ids": decode(cell_of("fixed")).tolist(), "marks_s": self.marks_s, "every_step": self.every_step,
            "scores": None, "collections": 0, "wall_s": 1.0, "own_cpu_s": 1.0, "busy_cpu_s": None, "rss_bytes": 9,
            "peak_rss_bytes": 9,
        }  # fmt: skip

    def close(self):
        pass


@pytest.fixture
def asked(monkeypatch, fixed_cell, checkpoint, tiny_model):
    """An arm, whose process ``Answers`` stands in for."""
    monkeypatch.setattr(arm_module, "Process", Answers)
    return ContenderArm("any", fixed_cell, decoded_config(fixed_cell), SRC_IDS, checkpoint, 1.0)


def decoded_config(cell):
    from strategies import config_of

    return config_of(cell.model)


def test_an_arm_asks_for_the_kind_of_its_clock_and_keeps_the_kind_that_it_got(asked, monkeypatch):
    kinds = [asked.round(0, False, Events(every_step)).every_step for every_step in KINDS]
    assert asked._process.asked == KINDS
    assert kinds == [False, False]  # a contender that cannot mark steps
    assert asked.figures() == {"rss_bytes": 9, "peak_memory_bytes": 5}


def test_step_marks_in_a_round_without_them_end_a_contender(asked, monkeypatch):
    monkeypatch.setattr(Answers, "marks_s", [float(mark) for mark in range(STEPS + 2)])
    monkeypatch.setattr(Answers, "every_step", True)
    assert asked.round(0, False, Events(True)).every_step
    with pytest.raises(ContenderError, match="marked each step in a round that is to be without"):
        asked.round(1, False, Events(False))


@needs_transformers
@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_in_half_precision_it_has_the_cell_s_weights_and_the_oracle_s_tokens(name, dtype, fixed_cell, tmp_path):
    """As on CUDA, where such cells are measured."""
    from strategies import DTYPES, load_model, parse
    from suites.contenders.running.agreement import check_tokens
    from suites.contenders.running.cache import shared_checkpoint
    from suites.measuring.arms import StrategyArm
    from suites.settings.inputs import make_inputs

    cell = dataclasses.replace(fixed_cell, dtype=dtype)
    model = load_model(cell.model, DTYPES[dtype], seed=cell.seed)
    contender = registry()[name]()
    contender.prepare(shared_checkpoint(model, tmp_path), cell)
    theirs = contender.model.state_dict()
    assert torch.equal(theirs["shared.weight"], model.embedding.weight)
    for number, layer in enumerate(model.decoder.layers):
        wo = theirs[f"decoder.block.{number}.layer.2.DenseReluDense.wo.weight"]
        assert wo.dtype == layer.ffn.wo.weight.dtype == (torch.float32 if dtype == "fp16" else DTYPES[dtype])
        assert torch.equal(wo, layer.ffn.wo.weight)
    decoded = contender.round(SRC_IDS, "fixed")
    oracle = StrategyArm(parse("full_recompute"), model, make_inputs(cell, model.config), cell)
    passed, reason = check_tokens(oracle, decoded.token_ids, dtype, True).reason(exact=True)
    assert passed, reason


def test_the_checkpoint_of_a_cell_holds_its_rounded_weights_exactly(tiny_model, tmp_path):
    from strategies import load_model
    from suites.contenders.running.cache import digest, shared_checkpoint

    half = tiny_model("t5", torch.bfloat16)
    again = load_model(shared_checkpoint(half, tmp_path))
    assert all(torch.equal(a, b.float()) for a, b in zip(again.parameters(), half.parameters(), strict=True))
    assert digest(half) == digest(again) != digest(tiny_model("t5"))
