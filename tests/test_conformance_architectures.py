"""Every architecture, with the options that set it apart, is held to the formulas and to teacher forcing.

The conformance kit (``test_conformance.py``) tries all strategies on two architectures. Here four strategies, of which
each does another thing with K and V, are tried on all.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from strategies import ModelConfig, ModelSpec, Session, parse
from strategies.models.architectures import OPTIONS
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize
from strategies.models.parameters import parameter_bytes
from strategies.models.sources import source_shape
from suites.probes import peak_memory, record, step_bytes
from suites.settings.cells import Cell
from suites.work.capacity import predicted_peak_bytes
from suites.work.formulas import formulas
from tests.architectures import SHAPE, SRC_LEN, VARIANTS

BATCH, TARGET = 6, 8
EXACT = "full_recompute", "contiguous_kv", "static_kv(read=buffer)"
NAMES = (*EXACT, "quantized_kv")


@dataclass(frozen=True)
class Case:
    """A model, a batch of sources, and the decoder's input: the prefix and free tokens."""

    model: EncoderDecoder
    source: Tensor
    mask_BS: Tensor | None
    token_BN: Tensor

    @property
    def config(self) -> ModelConfig:
        return self.model.config

    @property
    def cell(self) -> Cell:
        return Cell(ModelSpec("m", "random"), SRC_LEN, TARGET, BATCH, "cpu", "fp32", 1, 0, "fixed")

    def session(self, name: str) -> Session:
        return Session(self.model, parse(name), BATCH, SRC_LEN, TARGET)

    def steps(self, session: Session) -> Iterator[Tensor]:
        """Logits [B, V] of each step, all of which may lie in the same memory."""
        session.prefill(self.source, self.mask_BS)
        return map(session.step, self.token_BN[:, self.config.prefix_len - 1 :].T)


@pytest.fixture(scope="module", params=list(OPTIONS))
def case(request) -> Case:
    """Each architecture in turn."""
    return case_of(request.param)


def case_of(architecture: str, **changes: object) -> Case:
    """A model of this architecture, random weights. Where sources are tokens, every second one is padded."""
    config = ModelConfig(**SHAPE | VARIANTS[architecture] | changes, architecture=architecture)
    draw = torch.Generator().manual_seed(3)
    shape = source_shape(config, BATCH, SRC_LEN)
    token_BN = torch.randint(config.vocab_size, (BATCH, config.prefix_len - 1 + TARGET), generator=draw)
    token_BN[:, : config.prefix_len] = torch.tensor(config.prefix)
    if config.mel_bins is not None:
        source, mask_BS = torch.randn(shape, generator=draw), None
    else:
        mask_BS = torch.arange(SRC_LEN) < torch.tensor([SRC_LEN, SRC_LEN - 4]).repeat(BATCH // 2)[:, None]
        source = torch.randint(config.source_vocabulary, shape, generator=draw).masked_fill(~mask_BS, config.pad_id)
    model = randomize(EncoderDecoder(config), 0).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():  # zeros would hide a bias that is left out
        if name.endswith("bias"):
            parameter.normal_(std=0.3, generator=draw)
    return Case(model, source, mask_BS, token_BN)


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_teacher_forcing(case, name):
    expected_BNV = case.model(case.source, case.mask_BS, case.token_BN)[:, case.config.prefix_len - 1 :]
    near = 1e-4 if name in EXACT else 0.1 * float(expected_BNV.std())
    for place, logits_BV in enumerate(case.steps(case.session(name))):
        torch.testing.assert_close(logits_BV, expected_BNV[:, place], rtol=0, atol=near)
    assert place == TARGET - 1


@pytest.mark.parametrize("name", NAMES)
def test_flops_and_bytes_equal_the_record(case, name):
    said, session = formulas(case.config, case.cell, parse(name)), case.session(name)
    with record(case.model) as recording:
        session.prefill(case.source, case.mask_BS)
    assert sum(found.product.flops for found in recording.products) == said.prefill_flops
    for step, token_B in enumerate(case.token_BN.T[case.config.prefix_len - 1 :]):
        with record(case.model) as recording:
            session.step(token_B)
        assert sum(found.product.flops for found in recording.products) == said.step_flops[step]
        moved = step_bytes(recording)
        assert (moved.weights, moved.self_kv, moved.cross_kv, moved.copies) == (
            said.weight_bytes[step], said.self_kv_bytes[step], said.cross_kv_bytes[step], said.copy_bytes[step],
        )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_peak_of_memory_is_that_of_the_formula(case, name):
    with peak_memory("cpu") as memory:
        assert len([None for _ in case.steps(case.session(name))]) == TARGET
    predicted = predicted_peak_bytes(case.config, case.cell, parse(name), padded=case.mask_BS is not None)
    assert 0.94 * memory.peak_bytes <= predicted <= 1.1 * memory.peak_bytes


def test_bytes_of_the_weights_are_those_of_the_formula(case):
    assert sum(parameter.nbytes for parameter in case.model.parameters()) == parameter_bytes(case.config, "fp32")


def test_compiled_steps_equal_teacher_forcing():
    """After a prefix, and with positions that padding does not have."""
    case = case_of("m2m_100", decoder_layers=1)
    expected_BNV = case.model(case.source, case.mask_BS, case.token_BN)[:, case.config.prefix_len - 1 :]
    for place, logits_BV in enumerate(case.steps(case.session("static_kv(read=buffer,execution=compiled)"))):
        torch.testing.assert_close(logits_BV, expected_BNV[:, place], rtol=0, atol=1e-4)
    assert place == TARGET - 1
