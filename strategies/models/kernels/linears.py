"""How products with weights are computed: by torch's own kernel, or by one that reads a copy in a layout of its own.

All strategies of a cell share the kernel. It decides how fast weights are read, and changes results by rounding alone.
Only ``fused``, and ``auto`` where it chose ``fused``, uses another kernel in compiled steps than in eager ones.
Products of activations (attention) are not affected. In a float32 model, the copy of a kernel that serves any number of
rows replaces the plain weight (``held``): that of ``transposed``, ``onednn`` and ``panel``. The plain weight of a head
that is tied to the embedding stays, because rows are looked up in it; only ``panel`` looks them up in its own. ``mkl``
reads the plain weight for other numbers of rows than a step's. ``auto`` keeps the plain weights where a kernel that it
chose for some rows, or a loop of compiled steps, reads them.

| kernel | layout of its copy | from |
|---|---|---|
| torch | none | ``torch.nn.functional.linear`` |
| transposed | [in, out], rows of outputs side by side | ``torch.addmm`` or ``@`` |
| onednn | blocks chosen by oneDNN | ``torch.ops.mkldnn._linear_pointwise``, as torch's compiler calls it |
| mkl | panels chosen by MKL for one number of rows; others take torch's | ``torch.ops.mkl._mkl_linear``, likewise |
| panel | panels of outputs, in large pages | C++ of this project (``native``), with what is between products |
| fused | none: a loop over the weight, part of the whole step's one function | torch's compiler (``one_row``) |
| auto | the fastest for the whole step, or much faster for a shape of weight, by rows | ``choose`` |

``fused`` serves compiled steps of a single row; all other products then use torch's kernel. A GPU has ``torch`` and
``transposed`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from ..head import Head
from ..held import keep_state
from . import one_row
from .choose import choose
from .custom_operator import Apply
from .execution import forget
from .native.model import use_panels
from .packed import replace_plain, require_plain
from .packing import (
    KERNELS,
    READ_PLAIN,
    Choice,
    by_rows,
    multiply_by,
    pack,
    products,
    unavailable,
)

LINEARS = (*KERNELS, "auto")


@dataclass(frozen=True)
class Linears:
    """What ``use_linear`` did: the bytes of the copies of weights that it made, and what ``auto`` chose."""

    copy_bytes: int
    choices: tuple[Choice, ...] = ()


def use_linear(
    model: EncoderDecoder, kind: str, rows: int, rows_max: int | None = None, compiled: bool = False
) -> Linears:
    """Have the model's products with weights computed by the kernel ``kind``.

    ``rows`` is the number of rows that a cached step feeds, the batch. Only ``auto`` reads ``rows_max``, the most rows
    that prefill or full recompute feed to a product, and ``compiled``, whether any step will be compiled. Call once, on
    a model in inference mode. Raises ModelError for a kernel that is not known, that this build of torch does not have,
    or that cannot take the model's type or device.
    """
    if kind not in LINEARS:
        raise ModelError(f"linear={kind} is not known; known: {', '.join(LINEARS)}")
    if kind == "torch":
        return Linears(0)
    require_plain(model)
    forget(model)
    choices: Sequence[Choice] = ()
    if why := unavailable(model, kind):
        raise ModelError(why)
    if kind == "auto":
        choices = choose(model, rows, rows_max or rows, compiled)
    modules, held = list(products(model)), 0
    of_step = {c.weight: c.kernel for c in reversed(choices) if not c.compiled}  # the first of each shape
    native, loops = kind == "panel" or "panel" in of_step.values(), any(c.compiled for c in choices)
    made: dict[nn.Module, dict[str, Apply]] = {}
    replaced: list[nn.Module] = []
    for module in modules:
        packed = {
            c.kernel: pack(module, c.kernel, rows)
            for c in _choices(module, kind, choices)
            if not c.compiled and not (native and c.kernel == "panel")
        }
        made[module] = {kernel: one.apply for kernel, one in packed.items()}
        held += sum(one.copy_bytes for one in packed.values())
        if not loops and not READ_PLAIN & packed.keys():
            replaced.append(module)
            if not native:
                replace_plain(model, module, next(iter(packed.values())).replacement)
    if native:
        others = any(made.get(module) for module in model.encoder.modules())
        panels, panel_bytes = use_panels(model, modules, replaced, loops, encoder=not others)
        held += panel_bytes
        for module in modules:
            made[module]["panel"] = panels[module]
    for module in modules:
        mine = _choices(module, kind, choices)
        apply = by_rows([(c.rows_max, made[module][c.kernel]) for c in mine if not c.compiled])
        if any(c.compiled for c in mine):
            apply = one_row.at_one_row(one_row.product(module.weight.detach(), getattr(module, "bias", None)), apply)
        multiply_by(module, apply)
    keep_state(model)
    return Linears(held, tuple(choices))


def _choices(module: nn.Linear | Head, kind: str, choices: Sequence[Choice]) -> list[Choice]:
    """What was chosen for a module's weight; without choices, ``kind`` for any number of rows."""
    shape = tuple(module.weight.shape)
    return [c for c in choices if c.weight == shape] or [Choice(shape, None, kind, math.nan)]
