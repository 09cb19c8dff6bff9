"""The guide of training: one cross-attention head is taught to look at the word being pronounced.

See Garg et al. 2019, arXiv 1909.02074.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..blocks import DecoderLayer
from ..encoder_decoder import EncoderDecoder
from ..stores import CrossKV
from .data import Batch

GUIDED_LAYER = 1


class Guide:
    """Records where head 0 of one cross-attention looks, as log probabilities, while the model trains."""

    def __init__(self, model: EncoderDecoder) -> None:
        layer = model.decoder.layers[GUIDED_LAYER]
        assert isinstance(layer, DecoderLayer)
        self.attention = layer.cross_attn
        self.log_p_BNS = torch.empty(0)
        self.attention.register_forward_hook(self._record)

    def _record(self, module: torch.nn.Module, args: tuple[Tensor, CrossKV, Tensor], output: Tensor) -> None:
        x_BND, source, bias = args
        width = self.attention.head_size
        q_BNK = F.linear(x_BND, self.attention.q.weight[:width], self.attention.q.bias[:width])
        k_BSK = source.get(q_BNK[:, None], bias)[0][:, 0]
        score_BNS = self.attention.scale * q_BNK @ k_BSK.transpose(1, 2) + bias[:, 0]
        self.log_p_BNS = score_BNS.log_softmax(-1)

    def loss(self, batch: Batch) -> Tensor:
        """Mean over labels of -log of the attention, in sum, on the letters of the word that a label belongs to."""
        right_BNS = batch.label_word_BN[:, :, None] == batch.src_word_BS[:, None, :]
        mass_BN = self.log_p_BNS.masked_fill(~right_BNS, -1e4).logsumexp(-1)
        return -mass_BN[batch.label_word_BN >= 0].mean()
