"""What published architectures settled differently, as data: the options of a model by the name of its architecture.

    architecture     positions                               norm
    transformer2017  sinusoids, interleaved                  layer norm, after each residual sum
    t5               a bias on scores by distance            RMS norm, before each block and at the end
    marian           sinusoids in halves                     after each sum
    bart             learned, from row 2                     after each sum, and on the embedding
    mbart            learned, from row 2                     before each block, on the embedding, and at the end
    m2m_100          sinusoids in halves, from pad_id + 1    before each block and at the end
    pegasus          sinusoids in halves                     before each block and at the end
    whisper          tables: stored, and in the decoder      before each block and at the end
                     learned

They are of Vaswani et al. 2017 (arXiv 1706.03762), Raffel et al. 2020 (1910.10683), Junczys-Dowmunt et al. 2018
(1804.00344), Lewis et al. 2020 (1910.13461), Liu et al. 2020 (2001.08210), Fan et al. 2020 (2010.11125; NLLB has it
too), Zhang et al. 2020 (1912.08777) and Radford et al. 2022 (2212.04356), as their released code has them.

Each option is a field of ``ModelConfig``, which says what it means, and may be given
there; the ones that a checkpoint's configuration gives differ from these at times.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

Architecture = Literal["t5", "transformer2017", "marian", "bart", "mbart", "m2m_100", "pegasus", "whisper"]
Positions = Literal["relative", "sinusoidal", "learned", "none"]
SinusoidOrder = Literal["interleaved", "halves"]
SinusoidExponent = Literal["2i/d", "i/(d/2-1)"]
Norm = Literal["rms", "layer"]
Activation = Literal["relu", "gelu", "gelu_new", "silu"]

CHOICES: dict[str, tuple[str, ...]] = {
    "architecture": get_args(Architecture),
    "positions": get_args(Positions),
    "encoder_positions": get_args(Positions),
    "sinusoid_order": get_args(SinusoidOrder),
    "sinusoid_exponent": get_args(SinusoidExponent),
    "norm": get_args(Norm),
    "activation": get_args(Activation),
}
"""Option -> the names that it may have."""

_COMMON: dict[str, Any] = {
    "positions": "sinusoidal",
    "sinusoid_order": "halves",
    "sinusoid_exponent": "2i/d",
    "first_position": 0,
    "zero_at_pad": False,
    "norm": "layer",
    "norm_eps": 1e-5,
    "norm_first": True,
    "embedding_norm": False,
    "final_norm": True,
    "scale_embedding": True,
    "scale_scores": True,
    "scale_head": False,
    "activation": "relu",
    "biases": True,
    "ffn_out_fp32": False,
}
_AFTER = {"norm_first": False, "final_norm": False}
OPTIONS: dict[Architecture, dict[str, Any]] = {
    "t5": _COMMON
    | {
        "positions": "relative",
        "norm": "rms",
        "norm_eps": 1e-6,
        "scale_embedding": False,
        "scale_scores": False,
        "scale_head": True,
        "biases": False,
        "ffn_out_fp32": True,
    },
    "transformer2017": _COMMON | _AFTER | {"sinusoid_order": "interleaved", "norm_eps": 1e-6},
    "marian": _COMMON | _AFTER | {"activation": "silu"},
    "bart": _COMMON
    | _AFTER
    | {
        "positions": "learned",
        "first_position": 2,
        "embedding_norm": True,
        "scale_embedding": False,
        "activation": "gelu",
    },
    "mbart": _COMMON | {"positions": "learned", "first_position": 2, "embedding_norm": True, "activation": "gelu"},
    "m2m_100": _COMMON | {"sinusoid_exponent": "i/(d/2-1)", "zero_at_pad": True},
    "pegasus": _COMMON,
    "whisper": _COMMON | {"positions": "learned", "scale_embedding": False, "activation": "gelu"},
}
"""Architecture -> its options."""
