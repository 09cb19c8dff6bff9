"""Ceilings from a small buffer, phoneme errors of few words, short rests: where a test is about something else."""

WORDS = 40
"""Words that the embedded model decodes for each approximate strategy, where a run outside the tests takes 500."""
REST_S = 0.002
"""Before each round, where a run outside the tests rests ten times as long."""


def use() -> None:
    """In this process, from here on."""
    import torch

    from suites.ceilings import meter
    from suites.ceilings.kernels import COLUMNS, ROW, Buffer
    from suites.measuring import narrowing, spoken
    from suites.timing import quiet

    class SmallBuffer(Buffer):
        """One window, the smallest that every kernel can read; several caches take longer to read."""

        def __init__(self, device: str, cache_bytes: int | None, threads: int) -> None:
            self.window_bytes = 4 * ROW * COLUMNS
            self._windows = torch.ones(1, ROW * COLUMNS, device=device)
            self._next = 0

    meter.Buffer = SmallBuffer
    narrowing.WORDS = spoken.WORDS = WORDS
    quiet.WATCHED_S = REST_S
