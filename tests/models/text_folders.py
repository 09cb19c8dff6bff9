"""Checkpoint folders whose tokenizers are trained here, on a few lines, one function a family."""

import io
import json
from functools import cache
from pathlib import Path

import sentencepiece
import torch
from tokenizers import ByteLevelBPETokenizer

from strategies import ModelConfig
from strategies.models.checkpoints.texts.languages import M2M100, NLLB
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.export import save_checkpoint
from strategies.models.init import randomize

LINES = [
    "the cat sat on the mat",
    "a dog and a cat ran far",
    "hello world again and again",
    "numbers 1 2 3 and more",
    "small words make long lines",
    "où est le café déjà",
    "über die brücke",
]
FAIRSEQ = {"pad_id": -1, "eos_id": 2, "unk_id": 0, "bos_id": 1}


@cache
def trained(kind="unigram", lines=None, **ids):
    """A sentencepiece model, trained on the first lines."""
    made = io.BytesIO()
    ids = ids or {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES[:lines] * 3),
        model_writer=made,
        vocab_size=60,
        model_type=kind,
        hard_vocab_limit=False,
        minloglevel=2,
        **ids,
    )
    return made.getvalue()


def pieces(model):
    loaded = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [loaded.IdToPiece(number) for number in range(loaded.GetPieceSize())]


def write(folder, model_type, files, **settings):
    """Write config.json, the files, and tokenizer_config.json if there are settings."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"config.json": {"model_type": model_type}} | files
    if settings:
        files["tokenizer_config.json"] = settings
    for name, content in files.items():
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / name).write_bytes(content)
    return folder


def added(texts, first):
    flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {str(number): {"content": text, "special": True, **flags} for number, text in enumerate(texts, first)}


def numbered(words):
    return {word: number for number, word in enumerate(dict.fromkeys(words))}


def t5(folder):
    return write(folder, "t5", {"spiece.model": trained()})


def mt5_without_sentinels(folder):
    return write(folder, "mt5", {"spiece.model": trained()}, tokenizer_class="T5Tokenizer", extra_ids=0)


def umt5(folder):
    return write(folder, "umt5", {"spiece.model": trained()}, tokenizer_class="T5Tokenizer", extra_ids=20)


def byt5(folder):
    return write(folder, "t5", {}, tokenizer_class="ByT5Tokenizer")


def pegasus(folder):
    return write(folder, "pegasus", {"spiece.model": trained()})


def pegasus_of_another_offset(folder):
    return write(folder, "pegasus", {"spiece.model": trained()}, tokenizer_class="PegasusTokenizer", offset=7)


def mbart(folder):
    return write(folder, "mbart", {"sentencepiece.bpe.model": trained(**FAIRSEQ)}, src_lang="ro_RO", tgt_lang="fr_XX")


def mbart50(folder):
    files = {"sentencepiece.bpe.model": trained(**FAIRSEQ)}
    return write(folder, "mbart", files, tokenizer_class="MBart50Tokenizer", src_lang="sl_SI", tgt_lang="fr_XX")


def nllb(folder, **settings):
    model = trained("bpe", **FAIRSEQ)
    # In the published vocabularies the languages follow the pieces, and <mask> is last.
    listed = added([*NLLB, "<mask>"], len(pieces(model)) + 1)
    settings = {"tokenizer_class": "NllbTokenizer", "src_lang": "fra_Latn", "tgt_lang": "deu_Latn"} | settings
    return write(folder, "m2m_100", {"sentencepiece.bpe.model": model}, added_tokens_decoder=listed, **settings)


def nllb_of_old(folder):
    return nllb(folder, legacy_behaviour=True)


def m2m100(folder):
    model = trained(**FAIRSEQ)
    words = ["<s>", "<pad>", "</s>", "<unk>", *(piece for piece in pieces(model) if piece != "z")]
    languages = [f"__{code}__" for code in M2M100]
    settings = {"src_lang": "fr", "tgt_lang": "de", "additional_special_tokens": languages}
    return write(folder, "m2m_100", {"sentencepiece.bpe.model": model, "vocab.json": numbered(words)}, **settings)


def marian(folder):
    ids = {"pad_id": -1, "eos_id": 0, "unk_id": 1, "bos_id": -1}
    source, target = trained(**ids), trained(lines=5, **ids)
    words = ["</s>", "<unk>", *pieces(source), *pieces(target), ">>fra<<", "<pad>"]
    return write(folder, "marian", {"source.spm": source, "target.spm": target, "vocab.json": numbered(words)})


def marian_of_two_vocabularies(folder):
    marian(folder)
    words = numbered(["</s>", "<unk>", *pieces((folder / "target.spm").read_bytes()), "<pad>"])
    return write(
        folder, "marian", {"target_vocab.json": words}, separate_vocabs=True, tokenizer_class="MarianTokenizer"
    )


def _merges(folder, special):
    folder.mkdir(parents=True, exist_ok=True)
    made = ByteLevelBPETokenizer()
    made.train_from_iterator(LINES, vocab_size=300, special_tokens=special, show_progress=False)
    made.save_model(str(folder))
    return made.get_vocab_size()


def bart(folder):
    _merges(folder, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return write(folder, "bart", {})


WHISPER = [
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>"),
    *("<|startofprev|>", "<|notimestamps|>", "<|0.00|>", "<|0.02|>"),
]


def whisper(folder):
    first = _merges(folder, [])
    listed = added(WHISPER, first)
    for timestamp in WHISPER[-2:]:
        listed[str(first + WHISPER.index(timestamp))]["special"] = False
    return write(folder, "whisper", {}, tokenizer_class="WhisperTokenizer", added_tokens_decoder=listed)


def t5_with_weights(folder, vocab_size=160):
    """A T5 of random weights that can be loaded, with its spiece.model."""
    config = ModelConfig(vocab_size, 16, 2, 8, 32, 2, 2)
    model = randomize(EncoderDecoder(config), 9)
    with torch.no_grad():  # enough spread that sources decide what is said
        for name, weight in model.named_parameters():
            weight.mul_(1 if "norm" in name else 4)
    save_checkpoint(model, folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    (folder / "spiece.model").write_bytes(trained())
    return folder


FAMILIES = [
    *(t5, mt5_without_sentinels, umt5, byt5, pegasus, pegasus_of_another_offset, mbart, mbart50, nllb, nllb_of_old),
    *(m2m100, marian, marian_of_two_vocabularies, bart, whisper),
]


def save_beside(folder: Path, reference) -> Path:
    """Save transformers' tokenizer of a folder as transformers 5 does, with tokenizer.json where it has one."""
    saved = folder.with_name("saved")
    reference.save_pretrained(saved)
    (saved / "config.json").write_bytes((folder / "config.json").read_bytes())
    return saved
