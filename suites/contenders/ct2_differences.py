"""In what CTranslate2 differs from transformers: models that it cannot decode alike, and rules of its beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategies.search.options import Beam

from .one_beam import greedy_rule

if TYPE_CHECKING:
    from strategies import ModelConfig

    from ..settings.cells import Cell

PATIENCE = {"true": 1.0, "false": 2.0, "never": 2.0}
"""CTranslate2's ``patience`` for each ``early_stopping``: a sentence is done once patience * W hypotheses have ended.

With 1 and a length penalty that is the rule of ``early_stopping=true``. The two others ask whether a better hypothesis
is still possible, which CTranslate2 never does. With a patience of 1, 1.5, 2 and 4 its best sequence was that of
transformers for 328, 347, 355 and 361 of 384 sentences, decoded up to EOS by 12 random models with 4 beams and length
penalties of 1 and 2. Beyond 2 little is gained, and sentences are decoded for longer.
"""


def why_not_decoded(config: ModelConfig) -> str:
    """Return why CTranslate2 does not decode a model as transformers does, or ""."""
    encoder = config.for_encoder
    if config.architecture != "whisper" and encoder.num_heads != config.num_heads:
        return (
            f"CTranslate2 has one number of heads for both stacks, and this model has {encoder.num_heads} in the "
            f"encoder and {config.num_heads} in the decoder"
        )
    if config.architecture != "whisper" and not set(config.begin_suppress_ids) <= set(config.suppress_ids):
        return "CTranslate2 has no rule for the first token alone, and this model has begin_suppress_ids"
    if config.architecture == "whisper" and not config.prefix_ids:
        return "CTranslate2 follows rules for time stamps unless a Whisper's prompt ends by turning them off"
    if config.architecture == "whisper" and config.activation != "gelu":
        return f"CTranslate2 computes gelu in every Whisper, and this one has {config.activation}"
    if config.architecture == "whisper" and len(config.eos_ids) > 1:
        return "CTranslate2 ends a Whisper at one id alone, and this one has several"
    if config.architecture != "marian":
        return ""
    if config.has_own_source_embedding:
        return "CTranslate2 converts a Marian of one vocabulary alone, and this one has two"
    if not config.pad_id == config.start_id == config.vocab_size - 1:
        return (
            "CTranslate2 takes padding, the last id, to start a Marian, and this one has "
            f"pad_id={config.pad_id}, start_id={config.start_id} and vocab_size={config.vocab_size}"
        )
    if config.pad_id not in config.suppress_ids:
        return f"CTranslate2 lets no Marian choose padding; give model.suppress_ids=[{config.pad_id}] for all"
    return ""


def own_rule(cell: Cell, config: ModelConfig) -> str:
    """Name the first rule of CTranslate2's beam search that may lead to other sequences than ours in this cell."""
    search = cell.search
    if not isinstance(search, Beam) or search.num_beams == 1:
        return greedy_rule(cell)
    if cell.stop == "fixed":
        return "it masks EOS before the softmax"
    if config.suppress_ids or config.begin_suppress_ids:
        return "it masks ids that may not be chosen before the softmax"
    if cell.dtype != "fp32":
        return f"it adds log-probabilities up in {cell.dtype}"
    if len(config.eos_ids) > 1:
        return "it keeps two candidates for each beam, however many EOS ids there are"
    if config.forced_eos_id is not None:
        return "it forces no end at the last step"
    if config.architecture == "whisper" and search.length_penalty != 0:
        return "it leaves EOS out of the length of a sequence"
    if config.architecture != "whisper" and config.prefix_ids and search.length_penalty != 0:
        return "it counts the decoder's prefix in the length of a sequence"
    if search.length_penalty == 0:
        alike = search.early_stopping != "true" and search.num_return == 1
        return "" if alike else "with length_penalty=0 it ends a sentence once its best beam has ended"
    if search.early_stopping != "true":
        beams = round(search.num_beams * PATIENCE[search.early_stopping])
        return f"it ends a sentence once {beams} hypotheses have ended"
    return ""
