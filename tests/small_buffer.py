"""Ceilings from a buffer of a few MiB, where a test is about something else: several caches take longer to read."""


def use() -> None:
    """In this process, from here on."""
    import torch

    from suites.ceilings import meter
    from suites.ceilings.kernels import COLUMNS, ROW, Buffer

    class SmallBuffer(Buffer):
        """One window, the smallest that every kernel can read."""

        def __init__(self, device: str, cache_bytes: int | None, threads: int) -> None:
            self.window_bytes = 4 * ROW * COLUMNS
            self._windows = torch.ones(1, ROW * COLUMNS, device=device)
            self._next = 0

    meter.Buffer = SmallBuffer
