"""The ceilings that the verb ``roofline`` measured: as data, as a table and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from ..ceilings.floor import READS, Spread
from ..ceilings.meter import Meter
from ..machine.environment import cpu_name, environment
from ..plots.roofline import ceilings_figure
from ..plots.style import save
from ..words.console import standard_output
from ..words.quantity import quantity

WHAT = {
    "rows": "read: row-major matrix times vector",
    "columns": "read: column-major matrix times vector",
    "sum": "read: sum",
    "copy": "copy: bytes read and bytes written",
    "gemm_fp32": "product of square matrices, fp32",
    "gemm_bf16": "product of square matrices, bf16",
    "gemm_fp16": "product of square matrices, fp16",
}


@dataclass(frozen=True)
class Roofline:
    """The rates of each kernel, with the machine's device, threads and cache.

    ``kernels``: per kernel its name, unit (B/s or FLOP/s), the bytes or FLOPs of one run, and its rate in every round.
    """

    device: str
    threads: int
    cache_bytes: int | None
    buffer_bytes: int
    kernels: list[dict[str, Any]]

    @classmethod
    def of(cls, device: str, threads: int, meter: Meter, rates: Sequence[dict[str, float]]) -> Roofline:
        """Make one from the rates of the rounds."""
        kernels = [
            {"name": k.name, "unit": k.unit, "amount": k.amount, "rates": [rate[k.name] for rate in rates]}
            for k in meter.kernels
        ]
        return cls(device, threads, meter.cache_bytes, meter.buffer_bytes, kernels)

    def spread(self, name: str) -> Spread:
        """Spread of a kernel's rates over rounds, in GB/s or GFLOP/s."""
        (rates,) = (kernel["rates"] for kernel in self.kernels if kernel["name"] == name)
        return Spread.of([1e-9 * rate for rate in rates])

    @property
    def fastest_read(self) -> str:
        """Name of the kernel whose median is the read bandwidth."""
        return max(READS, key=lambda name: self.spread(name).median)

    @property
    def ridge(self) -> float:
        """Arithmetic intensity, in fp32 FLOPs per byte read, above which computing is the limit."""
        return self.spread("gemm_fp32").median / self.spread(self.fastest_read).median

    @property
    def cache(self) -> str:
        """One sentence: whether memory was read, or the last cache."""
        read = f"{quantity(self.buffer_bytes, 'B')} were read in turn"
        if self.cache_bytes is None:
            return f"{read}; the system does not tell how large the last cache is"
        size = quantity(self.cache_bytes, "B")
        if self.buffer_bytes > self.cache_bytes:
            return f"{read}, beyond the last cache of {size}"
        return f"{read}: cache-resident, as the last cache has {size}; memory itself may be slower"

    def plain(self) -> dict[str, Any]:
        """The content of roofline.json: these figures and the machine's environment."""
        return {"environment": environment(), **asdict(self)}


def print_table(found: Roofline) -> None:
    """Print one row per kernel, and what the ceilings mean together."""
    console = standard_output()
    out = Table(box=None, padding=(0, 2, 0, 0))
    out.add_column("kernel")
    for name in ("median", "least to most", "runs of"):
        out.add_column(name, justify="right", no_wrap=True)
    for kernel in found.kernels:
        spread, bytes_ = found.spread(kernel["name"]), kernel["unit"] == "B/s"
        rate = f"{spread.median:.3g} {'GB/s' if bytes_ else 'GFLOP/s'}"
        amount = quantity(kernel["amount"], "B" if bytes_ else "FLOPs")
        out.add_row(WHAT[kernel["name"]], rate, f"{spread.low:.3g} to {spread.high:.3g}", amount)
    console.print(out)
    best = found.fastest_read
    for line in (
        f"read bandwidth: {found.spread(best).median:.3g} GB/s, the fastest read ({best}); {found.cache}",
        f"what does fewer than {found.ridge:.2g} fp32 FLOPs for each byte is bound by reading, else by computing",
    ):
        console.print(line, soft_wrap=True)


def draw(found: Roofline, run_dir: Path) -> Path:
    """Draw the plot as PNG and SVG, and return the path of the PNG."""
    names = [kernel["name"] for kernel in found.kernels if kernel["unit"] == "FLOP/s"]
    gemms = {name.removeprefix("gemm_"): found.spread(name) for name in names}
    threads = f"{found.threads} {'thread' if found.threads == 1 else 'threads'}"
    where = torch.cuda.get_device_name(0) if found.device == "cuda" else f"{cpu_name()}, {threads}"
    foot = (
        f"On {where}. Medians over {len(found.kernels[0]['rates'])} rounds; band: least and most. Reads: the fastest "
        f"of three kernels; {found.cache}. Products: square matrices."
    )
    title = f"A byte that is read must serve {found.ridge:.2g} fp32 FLOPs before computing is the limit"
    figure = ceilings_figure(found.spread(found.fastest_read), gemms, title, foot)
    return save(figure, run_dir / "plots", "roofline")[0]
