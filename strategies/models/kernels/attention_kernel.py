"""Which of torch's attention kernels a model uses (``models/torch_settings``)."""

from __future__ import annotations

from ..attention import CrossAttention, SelfAttention
from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from ..torch_settings import ATTENTION, allow_attention
from .execution import forget


def use_attention(model: EncoderDecoder, kind: str) -> None:
    """Have the attention of ``model`` computed by the kernel ``kind``, and allow that one in the whole process.

    Any ``kind`` but ``auto`` also keeps compiled steps from writing attention out as a loop (``one_position``). Raises
    ModelError for an unknown ``kind``.
    """
    if kind not in ATTENTION:
        raise ModelError(f"attention={kind} is not known; known: {', '.join(ATTENTION)}")
    allow_attention(kind, model.embedding.weight.device.type)
    for module in model.modules():
        if isinstance(module, SelfAttention | CrossAttention) and module.may_write_out != (kind == "auto"):
            module.may_write_out = kind == "auto"
            forget(model)
