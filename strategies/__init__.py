"""Decoding strategies of an encoder-decoder Transformer that share one model definition.

>>> import torch, strategies
>>> model = strategies.load_model(strategies.ModelSpec("pronounce", "pronounce"))
>>> session = strategies.Session(model, strategies.parse("static_kv"), batch=1, src_len=5, max_new=8)
>>> session.prefill(torch.tensor([strategies.load_vocabulary().spell("time")]))
>>> ids = [int(token_B) for token_B in strategies.greedy(session)]
>>> strategies.load_vocabulary().pronunciation(ids)
[['T', 'AY1', 'M']]

Beam search, over a session that has rows for 4 beams. It returns the two best sequences of the sentence:

>>> source_BS = torch.tensor([strategies.load_vocabulary().spell("read")])
>>> beam = strategies.Beam(num_beams=4, num_return=2)
>>> session = strategies.Session(model, strategies.parse("static_kv"), batch=1, src_len=5, max_new=8, beams=beam.width)
>>> session.prefill(source_BS)
>>> searching = strategies.begin(beam, model.config, batch=1, max_new=8, stop="eos", device=source_BS.device)
>>> for token_X in strategies.decode(session, searching):
...     pass  # the tokens that the 4 rows are fed next
>>> found = searching.sequences()
>>> [strategies.load_vocabulary().pronunciation(ids) for ids in found.token_RN.tolist()]
[[['R', 'IY1', 'D']], [['R', 'EH1', 'D']]]
>>> [round(score, 2) for score in found.score_R.tolist()]  # mean log-probability of a token, as length_penalty is 1
[-0.21, -0.37]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kv_bytes import KVBytes
    from .models.config import ModelConfig, ModelError
    from .models.load import DTYPES, ModelSpec, config_of, load_model
    from .models.mistake import Mistake
    from .models.pronounce.text import TextError, Vocabulary, load_vocabulary
    from .parsing import parse, select, with_execution
    from .search.begin import begin
    from .search.ends import lengths
    from .search.greedy import greedy
    from .search.loop import decode
    from .search.options import Beam, Greedy, Sample, SearchError
    from .search.searching import Sequences
    from .session import Session
    from .strategy import Strategy, StrategyError, register, registry

_HOMES = {
    "kv_bytes": ["KVBytes"],
    "models.config": ["ModelConfig", "ModelError"],
    "models.load": ["DTYPES", "ModelSpec", "config_of", "load_model"],
    "models.mistake": ["Mistake"],
    "models.pronounce.text": ["TextError", "Vocabulary", "load_vocabulary"],
    "parsing": ["parse", "select", "with_execution"],
    "search.begin": ["begin"],
    "search.ends": ["lengths"],
    "search.greedy": ["greedy"],
    "search.loop": ["decode"],
    "search.options": ["Beam", "Greedy", "Sample", "SearchError"],
    "search.searching": ["Sequences"],
    "session": ["Session"],
    "strategy": ["Strategy", "StrategyError", "register", "registry"],
}
"""Module -> the public names that it defines. A name is imported at its first use, because most of them need torch."""
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "DTYPES",
    "Beam",
    "Greedy",
    "KVBytes",
    "Mistake",
    "ModelConfig",
    "ModelError",
    "ModelSpec",
    "Sample",
    "SearchError",
    "Sequences",
    "Session",
    "Strategy",
    "StrategyError",
    "TextError",
    "Vocabulary",
    "begin",
    "config_of",
    "decode",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        try:
            return import_module(f".{name}", __name__)  # a module of this package
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    found = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
