"""The tokenizer of a checkpoint folder: from a text to the token ids of a source, and from decoded ids to a text."""

from .opening import open_text
from .tokenizer import Tokenizer

__all__ = ["Tokenizer", "open_text"]
