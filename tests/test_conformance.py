"""One kit for every strategy: whatever is registered is held to the same claims, with all its options in turn.

The fixtures ``strategy``, ``exact_strategy`` and ``static_strategy`` (conftest.py) read names from the registry and
options from the fields of a strategy, so that a new one, dropped in as one file, is tested without a new test.

An exact strategy must equal full recompute. An approximate one must give, whatever it loses, the same logits for a
sentence in a batch and alone, in a first batch and in a second. Such logits are compared in float64, where no rounding
to few bits turns on the order of a sum.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from strategies import Session, Strategy, greedy, lengths, parse, registry, select
from strategies.discovery import LEFT_OUT
from strategies.models import costs, traffic
from strategies.models.encoder_decoder import EncoderDecoder
from suites.contenders.running.lineup import Contenders
from suites.measuring.runner import run_cell
from suites.probes import peak_memory, record, role_bytes, step_bytes, tally
from suites.settings.cells import make_cell
from suites.settings.config import MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from suites.words.progress import Progress
from tests.conftest import TARGET, every_strategy, longest
from tests.kit import cross_bytes, drops_keys_of_the_source, notes_bytes, self_bytes, step_shape

BATCH, SRC_LEN = 3, 7
# Spans two blocks of LARGE rows, and goes beyond the first length bucket of a static cache.
LONG = 72
SOURCE_LENGTHS = (SRC_LEN, 4, 2)
ORACLE = parse("full_recompute")
NEAR = {"rtol": 1e-5, "atol": 1e-5}


@dataclass(frozen=True)
class Case:
    """A padded batch, and what the oracle makes of it: its choices, the tokens that lead to them, its logits."""

    model: EncoderDecoder
    seed: int
    src_BS: Tensor
    mask_BS: Tensor
    chosen_BN: Tensor
    fed_NB: Tensor
    logits_NBV: Tensor


def decode(session: Session, fed_NB: Tensor) -> Tensor:
    """Logits [N, B, V] of a prefilled session that is fed these tokens."""
    return torch.stack([session.step(token_B).clone() for token_B in fed_NB])


def prefilled(strategy: Strategy, case: Case, model: EncoderDecoder | None = None, max_new: int = TARGET) -> Session:
    """A session that has read the batch of ``case``."""
    session = Session(model or case.model, strategy, BATCH, SRC_LEN, max_new)
    session.prefill(case.src_BS, case.mask_BS)
    return session


def _ends_apart(chosen_BN: Tensor, token: int) -> bool:
    ends = lengths(chosen_BN, token)
    return bool((chosen_BN == token).any(1).all() and ends.unique().numel() > 1 and ends.max() < TARGET)


@pytest.fixture(scope="session")
def case(architecture, tiny_model) -> Case:
    """A model, among those of some seeds, and an EOS token that ends every row early, and not all at the same step."""
    draw = torch.Generator().manual_seed(5)
    src_BS = torch.randint(2, tiny_model(architecture).config.vocab_size, (BATCH, SRC_LEN), generator=draw)
    mask_BS = torch.arange(SRC_LEN) < torch.tensor(SOURCE_LENGTHS)[:, None]
    for seed in range(100):
        model = tiny_model(architecture, seed=seed)
        session = Session(model, ORACLE, BATCH, SRC_LEN, TARGET)
        session.prefill(src_BS, mask_BS)
        fed = [torch.full((BATCH,), model.config.start_id)]
        logits = []
        for _ in range(TARGET):
            logits.append(session.step(fed[-1]).clone())
            fed.append(logits[-1].argmax(-1))
        chosen_BN = torch.stack(fed[1:], 1)
        ends = [token for token in range(1, model.config.vocab_size) if _ends_apart(chosen_BN, token)]
        if ends:
            model = tiny_model(architecture, seed=seed, eos_id=ends[0])
            return Case(model, seed, src_BS, mask_BS, chosen_BN, torch.stack(fed[:-1]), torch.stack(logits))
    raise AssertionError("no seed gives rows that end apart")


def test_the_oracle_equals_the_teacher_forced_pass(case):
    with torch.no_grad():
        logits_BNV = case.model(case.src_BS, case.mask_BS, case.fed_NB.T)
    torch.testing.assert_close(logits_BNV.transpose(0, 1), case.logits_NBV, **NEAR)


def test_logits_equal_full_recompute_at_every_step(exact_strategy, case):
    torch.testing.assert_close(decode(prefilled(exact_strategy, case), case.fed_NB), case.logits_NBV, **NEAR)


def alone(strategy: Strategy, case: Case, row: int, model: EncoderDecoder) -> Session:
    """A session that has read one sentence of ``case``, without its padding.

    How many keys of the source a strategy drops may depend on the length of the batch, so to such a one the sentence
    keeps its padding.
    """
    length, chosen = SOURCE_LENGTHS[row], slice(row, row + 1)
    padded = drops_keys_of_the_source(strategy.bind(TARGET), TARGET, SRC_LEN)
    session = Session(model, strategy, 1, SRC_LEN if padded else length, TARGET)
    if padded:
        session.prefill(case.src_BS[chosen], case.mask_BS[chosen])
    else:
        session.prefill(case.src_BS[chosen, :length])
    return session


@pytest.fixture
def exactly(architecture, tiny_model, case):
    """``exactly(strategy)``: the model, in float64 for an approximate strategy."""

    def model(strategy: Strategy) -> EncoderDecoder:
        if strategy.exact:
            return case.model
        return tiny_model(architecture, torch.float64, case.seed, eos_id=case.model.config.eos_id)

    return model


def test_each_row_of_a_padded_batch_equals_that_sentence_alone(strategy, case, exactly):
    model, expected_NBV = exactly(strategy), case.logits_NBV
    if not strategy.exact:
        expected_NBV = decode(prefilled(strategy, case, model), case.fed_NB)
    for row in range(BATCH):
        logits_N1V = decode(alone(strategy, case, row, model), case.fed_NB[:, row : row + 1])
        torch.testing.assert_close(logits_N1V[:, 0], expected_NBV[:, row], **NEAR)


def test_logits_of_a_long_target_equal_the_teacher_forced_pass(exact_strategy, tiny_model):
    strategy = exact_strategy
    model, target = tiny_model("t5"), longest(strategy, LONG)
    draw = torch.Generator().manual_seed(6)
    src_1S, fed_1N = (torch.randint(2, model.config.vocab_size, (1, n), generator=draw) for n in (SRC_LEN, LONG))
    session = Session(model, strategy, 1, SRC_LEN, target)
    session.prefill(src_1S)
    found_N1V = decode(session, fed_1N.T[:target])
    with torch.no_grad():
        expected_1NV = model(src_1S, None, fed_1N[:, :target])
    torch.testing.assert_close(found_N1V[:, 0], expected_1NV[0], **NEAR)


def test_a_second_prefill_forgets_the_first(strategy, case):
    session = prefilled(strategy, case)
    decode(session, case.fed_NB)
    other_BS, full_BS = case.src_BS.flip(1), torch.ones_like(case.mask_BS)
    session.prefill(other_BS, full_BS)
    again_NBV = decode(session, case.fed_NB)
    fresh = Session(case.model, strategy, BATCH, SRC_LEN, TARGET)
    fresh.prefill(other_BS, full_BS)
    torch.testing.assert_close(again_NBV, decode(fresh, case.fed_NB), **NEAR)
    assert not torch.allclose(again_NBV, case.logits_NBV, **NEAR)


def test_rows_that_end_apart_are_padded_and_measured_each_by_itself(strategy, case, exactly):
    model, config = exactly(strategy), case.model.config
    token_BN = torch.stack(list(greedy(prefilled(strategy, case, model), "eos")), 1)
    if strategy.exact:
        ended = [row.index(config.eos_id) + 1 for row in case.chosen_BN.tolist()]
        expected = [case.chosen_BN[row, :length].tolist() for row, length in enumerate(ended)]
        assert max(ended) > min(ended)
    else:
        sessions = [alone(strategy, case, row, model) for row in range(BATCH)]
        expected = [torch.stack(list(greedy(session, "eos")), 1)[0].tolist() for session in sessions]
        ended = list(map(len, expected))
    assert token_BN.shape[1] == max(ended)
    assert lengths(token_BN, config.eos_id).tolist() == ended
    for tokens, alike, length in zip(token_BN.tolist(), expected, ended, strict=True):
        assert tokens[:length] == alike
        assert tokens[length:] == [config.pad_id] * (max(ended) - length)


def test_the_fixed_length_mode_gives_every_token_and_never_ends(strategy, case):
    token_BN = torch.stack(list(greedy(prefilled(strategy, case), "fixed")), 1)
    assert token_BN.shape == (BATCH, TARGET)
    assert not (token_BN == case.model.config.eos_id).any()
    if strategy.exact:
        assert torch.equal(token_BN, torch.stack(list(greedy(prefilled(ORACLE, case), "fixed")), 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["fp32", "fp16"])
def test_recorded_products_and_bytes_are_those_of_the_formulas(strategy, case, architecture, tiny_model, dtype):
    model = tiny_model(architecture, dtype, case.seed)
    config = model.config
    session = Session(model, strategy, BATCH, SRC_LEN, TARGET)
    facts = session.strategy
    once = costs.cross_projection(config, BATCH, SRC_LEN) if facts.cross == "cached" else []
    with record(model) as recording:
        session.prefill(case.src_BS, case.mask_BS)
    assert tally(recording.products) == sorted(costs.encoder(config, BATCH, SRC_LEN) + once)
    for k, token_B in enumerate(case.fed_NB, start=1):
        with record(model) as recording:
            session.step(token_B)
        shape = step_shape(config, facts, k, BATCH, SRC_LEN, dtype=dtype)
        expected = costs.step(config, shape)
        assert tally(recording.products) == sorted(expected), f"step {k}"
        assert sum(found.product.flops for found in recording.products) == costs.flops(expected)
        element = traffic.ElementBytes(dtype.itemsize, model.decoder.layers[0].ffn.wo.weight.element_size())
        assert role_bytes(recording) == traffic.role_bytes(config, shape, element), f"step {k}"
        assert step_bytes(recording) == traffic.step_bytes(config, shape, element), f"step {k}"


def test_reserved_and_used_bytes_are_those_of_the_formulas(strategy, case):
    session = Session(case.model, strategy, BATCH, SRC_LEN, TARGET)
    config, facts = case.model.config, session.strategy
    for _ in range(2):
        session.prefill(case.src_BS, case.mask_BS)
        for k, token_B in enumerate(case.fed_NB, start=1):
            session.step(token_B)
            held = session.nbytes
            assert (held.self_reserved, held.self_used) == self_bytes(config, facts, k, BATCH), f"step {k}"
            assert held.cross == cross_bytes(config, facts, k, BATCH, SRC_LEN), f"step {k}"
            assert held.used <= held.reserved


def test_live_memory_grows_from_step_to_step_by_the_reserved_rows_and_nothing_else(strategy, case):
    session, config = prefilled(strategy, case), case.model.config
    facts = session.strategy
    with peak_memory("cpu") as memory:
        session.prefill(case.src_BS, case.mask_BS)
        grown = []
        for k, token_B in enumerate(case.fed_NB, start=1):
            session.step(token_B)
            kept = self_bytes(config, facts, k, BATCH)[0] + cross_bytes(config, facts, k, BATCH, SRC_LEN)
            grown.append(memory.live_bytes - kept)
    assert max(grown) - min(grown) <= notes_bytes(config, facts, TARGET, BATCH, SRC_LEN)


def test_a_second_batch_needs_no_more_memory_than_the_first(strategy, case):
    session = Session(case.model, strategy, BATCH, SRC_LEN, TARGET)
    peaks = []
    with peak_memory("cpu") as memory:
        for _ in range(2):
            session.prefill(case.src_BS, case.mask_BS)
            decode(session, case.fed_NB)
            peaks.append(memory.peak_bytes)
    assert peaks[0] == peaks[1]


def test_a_static_step_keeps_its_addresses_and_allocates_nothing_as_large_as_k_or_v(static_strategy, case):
    session = prefilled(static_strategy, case, max_new=longest(static_strategy, 4 * TARGET))
    config = case.model.config
    # Where a window keeps few rows, K and V of the whole target: activations are larger than its buffer.
    buffer_bytes = BATCH * config.kv_inner * max(session.strategy.rows_reserved(1), session.max_new) * 4
    tensors = 2 * config.decoder_layers
    self_kv = set()
    for _ in range(2):
        session.prefill(case.src_BS, case.mask_BS)
        cross_kv = set()
        for token_B in case.fed_NB[:3]:
            with record(case.model) as recording, peak_memory("cpu") as memory:
                session.step(token_B)
            # A short window is smaller than the results of products.
            assert 0 < memory.largest_bytes < max(buffer_bytes, 1 + max(r.output_bytes for r in recording.products))
            for found in recording.products:
                if found.product.is_attention:
                    held = self_kv if found.path.endswith("self_attn") else cross_kv
                    held.add((found.path, found.product.role, found.operand_address))
        assert len(self_kv) == tensors
        assert len(cross_kv) == tensors or static_strategy.cross == "recompute"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_half_precision_stays_finite_and_near_single_precision(strategy, case, architecture, tiny_model, dtype):
    session = prefilled(strategy, case, tiny_model(architecture, dtype, case.seed))
    logits_NBV = decode(session, case.fed_NB)
    assert logits_NBV.dtype == dtype
    assert logits_NBV.isfinite().all()
    if strategy.exact:
        error = (logits_NBV.float() - case.logits_NBV).abs().max() / case.logits_NBV.abs().max()
        assert error < 16 * torch.finfo(dtype).eps


def test_the_label_is_read_back_as_the_same_strategy_and_leaves_out_defaults(strategy):
    assert parse(strategy.label) == strategy
    assert hash(parse(strategy.label)) == hash(strategy)
    name, _, options = strategy.label.removesuffix(")").partition("(")
    default = registry()[name].make()
    given = dict(option.split("=") for option in options.split(",") if option)
    assert set(given) == {
        f.name for f in dataclasses.fields(strategy) if getattr(strategy, f.name) != getattr(default, f.name)
    }


@pytest.mark.parametrize("name", ["full_recompute", "contiguous_kv", "static_kv"])
def test_the_only_head_of_a_lone_sentence_is_no_weight(name, tiny_model):
    """Its scores and context are products of batch 1, as those with a weight are."""
    model = tiny_model("t5", num_heads=1)
    session = Session(model, parse(name), 1, SRC_LEN, TARGET)
    session.prefill(torch.full((1, SRC_LEN), 2))
    with record(model) as recording:
        session.step(torch.zeros(1, dtype=torch.int64))
    shape = costs.StepShape(1, SRC_LEN, rows=1, keys=1, cross_recomputed=name == "full_recompute")
    assert step_bytes(recording) == traffic.step_bytes(model.config, shape, traffic.ElementBytes(4))


def test_every_file_of_the_package_is_there_to_be_tried():
    registry()
    assert LEFT_OUT == {}


def test_every_registered_name_is_among_what_this_kit_tries():
    assert {entry.make() for entry in registry().values()} <= set(every_strategy())


def test_the_command_line_measures_it(strategy, tmp_path):
    """From the text of an override to the facts of a measured case, as ``run`` goes, but for Hydra's own loop.

    Single options are read here, and measured in ``test_role_table.py``.
    """
    small = ["d_model=14", "num_heads=3", "d_kv=5", "d_ff=22", "encoder_layers=1", "decoder_layers=1", "vocab_size=29"]
    chosen = [f"strategies=['{strategy.label}']", "model=tiny", "tgt_len=3", "src_len=4", "batch_size=2"]
    (job,) = compose_jobs(read_overrides([*chosen, "device=cpu", *(f"model.{size}" for size in small)]))
    selected = select(job.config.strategies)
    assert selected == [strategy]
    if strategy.label.count("=") == 1:
        return
    measure = MeasureConfig(rounds=2, warmup=0)
    (facts,) = run_cell(make_cell(job.config), selected, measure, tmp_path, Progress(1, 1), Contenders())
    assert (facts.strategy, facts.status, facts.reason) == (strategy.label, "ok", "")
    assert facts.steps == 3
    assert facts.peak_memory_bytes > 0
