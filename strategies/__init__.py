"""Decoding strategies of an encoder-decoder Transformer that share one model definition.

>>> import torch, strategies
>>> model = strategies.load_model(strategies.ModelSpec("pronounce", "pronounce"))
>>> session = strategies.Session(model, strategies.parse("static_kv"), batch=1, src_len=5, max_new=8)
>>> session.prefill(torch.tensor([strategies.load_vocabulary().spell("time")]))
>>> ids = [int(token_B) for token_B in strategies.greedy(session)]
>>> strategies.load_vocabulary().pronunciation(ids)
[['T', 'AY1', 'M']]
"""

from .greedy import greedy, lengths
from .models.config import ModelConfig, ModelError
from .models.load import DTYPES, ModelSpec, config_of, load_model
from .models.pronounce.text import TextError, Vocabulary, load_vocabulary
from .parsing import parse, select, with_execution
from .session import KVBytes, Session
from .strategy import Strategy, StrategyError, register, registry

__all__ = [
    "DTYPES",
    "KVBytes",
    "ModelConfig",
    "ModelError",
    "ModelSpec",
    "Session",
    "Strategy",
    "StrategyError",
    "TextError",
    "Vocabulary",
    "config_of",
    "greedy",
    "lengths",
    "load_model",
    "load_vocabulary",
    "parse",
    "register",
    "registry",
    "select",
    "with_execution",
]
