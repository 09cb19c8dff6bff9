"""A small model of each architecture, with the options that set it apart from others."""

SRC_LEN = 12
"""Source length of the models of features, which have no other."""
SHAPE = {
    "vocab_size": 200, "d_model": 64, "num_heads": 4, "d_kv": 16, "d_ff": 128, "encoder_layers": 1, "decoder_layers": 2,
}  # fmt: skip
TABLES = {"src_positions": 20, "tgt_positions": 24}
VARIANTS = {
    "t5": {"relative_per_layer": True, "gated": True, "tie_head": False, "relative_buckets": 8, "encoder_layers": 3},
    "transformer2017": {"encoder_heads": 2, "encoder_d_kv": 24, "encoder_d_ff": 80, "num_kv_heads": 2},
    "marian": {"src_vocab_size": 150, "logits_bias": True, "pad_id": 149, "start_id": 149},
    "bart": {"logits_bias": True, "num_kv_heads": 1, "pad_id": 1, "eos_id": 2, "start_id": 2, **TABLES},
    "mbart": {"encoder_positions": "sinusoidal", "encoder_layers": 2, "prefix_ids": (7,), **TABLES},
    "m2m_100": {"prefix_ids": (9,), "pad_id": 1, "eos_id": 2, "start_id": 2},
    "pegasus": {"positions": "learned", "encoder_heads": 8, "encoder_d_kv": 8, **TABLES},
    "whisper": {"mel_bins": 10, "src_positions": SRC_LEN, "tgt_positions": 24, "prefix_ids": (3, 4, 5), "start_id": 2},
}  # fmt: skip
"""Architecture -> its own sizes and options. Each option that changes a product, a weight or memory is in one."""
