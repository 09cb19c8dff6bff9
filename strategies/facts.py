"""The facts that a strategy states about each of its steps. The model turns them into FLOPs, bytes and memory."""

from __future__ import annotations

from typing import Literal

from .models.stores import KVShape

CrossMode = Literal["cached", "recompute"]
CrossBeams = Literal["shared", "expanded", "expanded_once"]


class Facts:
    """Facts of a growing cache that copies nothing.

    k is the number of keys that the decoder's self-attention attends at a step, the new one included: 1, 2, ... N.
    Facts are asked of a strategy that is bound to a target length (``Strategy.bind``). Rows are rows of one layer's K
    or V.
    """

    cross_beams: CrossBeams

    def rows_fed(self, k: int) -> int:
        """Decoder rows computed at the step that attends k keys."""
        return 1

    def keys_read(self, k: int) -> int:
        """Keys that a query row is multiplied with: k, or more where a buffer is read beyond what is filled."""
        return k

    def variant(self, k: int) -> int:
        """Number of the compiled or captured step that serves k keys.

        Steps of the same number may differ only in the values of tensors, and in the lengths of what ``Growing`` stores
        hold. By default there is one variant for each value of ``keys_read``.
        """
        return self.keys_read(k)

    def rows_copied(self, k: int) -> int:
        """Rows of the cache that this step copies to make room for the new one."""
        return 0

    def rows_reserved(self, k: int) -> int:
        """Rows whose memory persists after this step, whether they are filled or not."""
        return k

    def rows_used(self, k: int) -> int:
        """Rows that persist after this step and hold a key."""
        return min(k, self.rows_reserved(k))

    def kv_row_bytes(self, shape: KVShape) -> int:
        """Bytes in which one row of K and one of V persist, of one sequence in one layer, scales included.

        Of ``shape`` the heads, the head size and the type count. By default 2 * heads * head_size * bytes per element.
        """
        return 2 * shape.heads * shape.head_size * shape.dtype.itemsize

    def rows_expanded(self, k: int) -> int:
        """Rows that this step makes anew, in the model's type, to read them: dequantised, or gathered from blocks.

        Each is read as it persists and written as it is attended, which counts as copied. Unlike ``rows_gathered`` it
        is so with one beam, too.
        """
        return 0

    def table_entries(self, k: int) -> int:
        """Entries, int64, of a table of rows or blocks that persists for each sequence, also where it has one beam.

        Layers share it, so it counts once; all of it counts as used.
        """
        return 0

    def cross_keys_read(self, k: int, src_len: int) -> int:
        """Keys of the source that cross-attention reads at this step: by default all S = ``src_len``.

        If cross K/V are cached they persist in as many rows after the step. The number must not rise with k. Where it
        falls, the rows that stay are copied once, at the start of that step.
        """
        return src_len

    def cross_keys_observed(self, k: int, src_len: int) -> int:
        """Keys of the source whose scores this step computes once more, to see what is attended."""
        return 0

    def rows_reordered(self, k: int) -> int:
        """Rows of each beam's cache that are copied when beams are reordered after the step that attends k keys.

        It is asked of beam search alone, as are the four facts that follow. Rows count whatever beam each continues.
        """
        return k

    def rows_gathered(self, k: int) -> int:
        """Rows of each beam that this step gathers through a table to read them, because no kernel reads through it."""
        return 0

    def rows_spare(self, k: int) -> int:
        """Rows of each beam that persist besides ``rows_reserved``: a second buffer into which beams are reordered."""
        return 0

    def entries_reserved(self, k: int) -> int:
        """Entries, int64, of a table of rows that persists for each beam."""
        return 0

    def entries_reordered(self, k: int) -> int:
        """Entries of the table that are copied per beam when beams are reordered after this step."""
        return 0

    def source_copies(self, beams: int) -> int:
        """Copies per sentence of what is kept of its source, with W = ``beams``: 1 where they share it, else W."""
        return 1 if self.cross_beams == "shared" else beams
