"""Sequences read off backpointers, against following them one by one."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.search.backpointers import follow

PAD = -1


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_sequences_are_those_that_each_parent_leads_to(
    seed: int, steps: int, batch: int, width: int, count: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    parent_NBW = torch.randint(width, (steps, batch, width), generator=generator)
    token_NBW = torch.randint(50, (steps, batch, width), generator=generator)
    parent_BR = torch.randint(width, (batch, count), generator=generator)
    token_BR = torch.randint(50, (batch, count), generator=generator)
    length_BR = torch.randint(steps + 1, (batch, count), generator=generator)
    token_BRN = follow(parent_NBW, token_NBW, parent_BR, token_BR, length_BR, PAD)
    for b in range(batch):
        for r in range(count):
            expected = [PAD] * steps
            beam, length = int(parent_BR[b, r]), int(length_BR[b, r])
            if length:
                expected[length - 1] = int(token_BR[b, r])
            for n in reversed(range(length - 1)):
                expected[n] = int(token_NBW[n, b, beam])
                beam = int(parent_NBW[n, b, beam])
            assert token_BRN[b, r].tolist() == expected
