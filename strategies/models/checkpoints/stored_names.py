"""The names under which one folder stores a family's tensors, and what they settle of the model's configuration.

Of tensors that are one in the model, safetensors keeps one name, and it may be any. A head, a bias of logits or a table
of positions may be stored or not.
"""

from __future__ import annotations

from typing import Any

from ..config import ModelConfig, ModelError
from .family import Facts, Family, Names
from .tensors import StoredTensors

EMBEDDING, OF_ENCODER = "embedding.weight", "encoder.embedding.weight"
LOGITS_BIAS = "final_logits_bias"
"""The bias of the LM head, stored as [1, V]."""


class StoredNames:
    """What a folder of ``family`` stores under which name."""

    def __init__(self, family: Family, facts: Facts, stored: StoredTensors) -> None:
        self._family, self._facts, self._stored = family, facts, stored
        self._bare = bool(family.prefix) and not any(name.startswith(family.prefix) for name in stored.names)
        self._shared, self._encoder, self._decoder = map(self._own, (family.shared, *family.of_stacks))
        if facts.separate:  # a stack that stored none has the one that both may share
            self._encoder, self._decoder = (
                one if self._is_stored(one) else self._shared for one in (self._encoder, self._decoder)
            )
        self.strays = frozenset(map(self._own, family.strays)) | ({self._shared} if facts.separate else frozenset())

    def _own(self, name: str) -> str:
        return name.removeprefix(self._family.prefix) if self._bare else name

    def _is_stored(self, name: str) -> bool:
        return name in self._stored.names

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of ``ModelConfig`` that the names settle, as far as the values do not."""
        found: dict[str, Any] = {
            "tie_head": not self._is_stored(self._family.head) and not self._facts.needs_head,
            "logits_bias": self._family.has_logits_bias and self._is_stored(LOGITS_BIAS),
        }
        if self._facts.separate and self._encoder != self._decoder:
            found["src_vocab_size"] = self._facts.fields["vocab_size"]
        if self._family.tables is not None:
            of_encoder, of_decoder = (
                "learned" if self._is_stored(self._own(name)) else "sinusoidal" for name in self._family.tables
            )
            found |= {"positions": of_decoder, "encoder_positions": None if of_encoder == of_decoder else of_encoder}
        return found

    def fields_by_values(self, config: ModelConfig) -> dict[str, Any]:
        """Fields that the values settle: whether the head is the embedding, say. ``config`` has those of ``fields``.

        Raises ModelError if versions of transformers would differ on the head.
        """
        found: dict[str, Any] = {}
        if self._is_stored(self._family.head) and self._is_tied(config):
            found["tie_head"] = True
        if config.logits_bias and not bool(self._stored.read(LOGITS_BIAS).any()):
            found["logits_bias"] = False
        if (
            self._facts.separate
            and config.has_own_source_embedding
            and self._stored.equal(self._encoder, self._decoder)
        ):
            found["src_vocab_size"] = None
        return found

    def _is_tied(self, config: ModelConfig) -> bool:
        head, embedding = self._family.head, self._embedding(config)
        if embedding == head:
            return True
        if not self._facts.tied:
            return False
        if self._stored.equal(head, embedding):
            return True
        if self._facts.newest:
            return False
        raise ModelError(
            f"tensor {head} differs from {embedding}, and tie_word_embeddings says that they are one; transformers 4 "
            f"ignores it, 5 uses it: remove {head} from the file, or write tie_word_embeddings=false into config.json"
        )

    def table(self, config: ModelConfig) -> Names:
        """Our name of a parameter -> the tensors that make it, by the names that this folder has."""
        table: Names = {
            ours: [None if name is None else self._own(name) for name in parts]
            for ours, parts in self._family.names(config).items()
        }
        table[EMBEDDING] = [self._embedding(config)]
        if config.has_own_source_embedding:
            table[OF_ENCODER] = [self._encoder]
        return table

    def _embedding(self, config: ModelConfig) -> str:
        names = self._names_of_embedding(config)
        tied = [self._family.head] if self._facts.tied else []
        return next((name for name in (*names, *tied) if self._is_stored(name)), names[0])

    def _names_of_embedding(self, config: ModelConfig) -> list[str]:
        if config.has_own_source_embedding or self._facts.separate:
            return [self._decoder]
        return list(dict.fromkeys([self._shared, self._encoder, self._decoder]))

    def aliases(self, config: ModelConfig) -> dict[str, list[str]]:
        """Our name of a parameter -> all stored names that hold it, which must be equal."""
        names = [name for name in self._names_of_embedding(config) if self._is_stored(name)]
        return {EMBEDDING: names}

    def shape(self, name: str, shape: tuple[int, ...], parts: int) -> tuple[int, ...]:
        """The shape of a tensor that is one of ``parts`` of a parameter of this shape."""
        if name == LOGITS_BIAS:
            return (1, *shape)
        return shape[0] // parts, *shape[1:]
