"""A ledger whose formula and record differ is an error that names the product and the step."""

import dataclasses

import pytest
import torch
from torch import Tensor

from strategies.contiguous_kv import ContiguousKV
from strategies.full_recompute import FullRecompute
from strategies.models.costs import Product
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize
from suites.ledger import verify
from suites.ledger.table import make_ledger
from suites.ledger.verify import LedgerError, check_shadow

from .conftest import sources


@dataclasses.dataclass(frozen=True)
class Liar(FullRecompute):
    """Declares one row and computes k."""

    def keys_read(self, k: int) -> int:
        return k + 1


def test_a_wrong_fact_is_an_error_that_names_product_and_step(tiny_model):
    with pytest.raises(LedgerError, match=r"decoder\.self_attn\.scores in step 11 of .*formula says .*running model"):
        check_shadow(tiny_model("t5").config, [Liar()])


@dataclasses.dataclass(frozen=True)
class Quiet(ContiguousKV):
    """Moves all old rows and says that it moves none."""

    def rows_copied(self, k: int) -> int:
        return 0


def test_copies_that_were_not_declared_are_an_error(tiny_model):
    with pytest.raises(LedgerError, match=r"self\.append in step 11 of .*0 bytes moved"):
        check_shadow(tiny_model("t5").config, [Quiet()])


def test_a_wrong_formula_is_an_error(tiny_model, monkeypatch):
    right = verify.expected.costs.decoder

    def wrong(*args: object, **kwargs: object) -> list[Product]:
        return [dataclasses.replace(p, rows=p.rows * 2) if p.role == "lm_head" else p for p in right(*args, **kwargs)]

    monkeypatch.setattr(verify.expected.costs, "decoder", wrong)
    with pytest.raises(LedgerError, match=r"lm_head in training of training"):
        check_shadow(tiny_model("t5").config, [])


class TwoHeads(EncoderDecoder):
    """Runs its head twice in training."""

    def forward(self, src_BS: Tensor, src_mask_BS: Tensor | None, token_BN: Tensor) -> Tensor:
        self.lm_head(torch.zeros(1, 1, self.config.d_model))
        return super().forward(src_BS, src_mask_BS, token_BN)


def test_a_product_that_the_formulas_lack_is_an_error(tiny_model):
    model = randomize(TwoHeads(tiny_model("t5").config), 0).eval()
    with pytest.raises(LedgerError, match="lm_head in training"):
        make_ledger(model, [], [(sources(model, 2, 4), ())], 3)
