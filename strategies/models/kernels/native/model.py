"""Have a model's products computed from panels, and the layers of its decode steps by native code."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import partial

from torch import Tensor, nn

from ...encoder_decoder import EncoderDecoder
from ...head import Head
from ...held import Replacement, replace
from ...layers import FeedForward
from .embedding import look_up, unpacked
from .encoder import NativeEncoder
from .panels import Arena, Panels, floats_of, pack
from .program import Memory, Program
from .stages import Rows, Stages
from .step import NativeLayers

Product = Callable[[Tensor], Tensor]


def parts_of(model: EncoderDecoder) -> dict[nn.Module, int]:
    """Into how many parts a weight is packed: that of a gated network into its gate and its linear half."""
    networks = [module for module in model.modules() if isinstance(module, FeedForward)]
    return {network.wi: 2 for network in networks if network.gated}


def pack_all(
    model: EncoderDecoder, modules: Sequence[nn.Linear | Head], replaced: Container[nn.Module], int8: bool
) -> dict[nn.Module, list[Panels]]:
    """The weights of all modules in panels, in their order: a step that reads them so reads memory front to back.

    The weight of a module that is ``replaced`` is given back once it is packed, so two copies of all are never held.
    """
    parts, packed = parts_of(model), dict[nn.Module, list[Panels]]()
    shapes = [(module.weight.shape, parts.get(module, 1)) for module in modules]
    arena = Arena(
        floats_of([(outputs // count, inner) for (outputs, inner), count in shapes for _ in range(count)], int8)
    )
    for module in modules:
        count, bias = parts.get(module, 1), module.bias
        halves = [None] * count if bias is None else list(bias.detach().chunk(count))
        pairs = zip(module.weight.detach().chunk(count), halves, strict=True)
        packed[module] = [pack(arena, *pair, int8) for pair in pairs]
        if module in replaced:
            mine = packed[module]
            replace(module.weight, Replacement([part.packed for part in mine], partial(unpacked, mine)))
    return packed


def product(parts: Sequence[Panels], memory: Memory) -> Product:
    """The product with a weight in panels, [..., K] -> [..., N], as an operator that compiled code can call."""
    stages, width, before = Stages(), sum(part.outputs for part in parts), 0
    for part in parts:
        stages.product(Rows(0, part.inner), part, Rows(1, width), first=before, waits=False)
        before += part.outputs
    program = Program(stages, False, parts[0].inner, [width], memory, [])

    def apply(x: Tensor) -> Tensor:
        if x.dim() == 2:
            (y,) = program([x])
            return y
        (y,) = program([x.flatten(0, -2)])
        return y.view(*x.shape[:-1], width)

    return apply


def one_product(weight: Tensor, bias: Tensor | None) -> tuple[Product, int]:
    """The product with a weight of its own, and the bytes of its panels."""
    arena = Arena(floats_of([tuple(weight.shape)]))
    panels = pack(arena, weight, bias)
    return product([panels], Memory()), panels.packed.nbytes


def use_panels(
    model: EncoderDecoder,
    modules: Sequence[nn.Linear | Head],
    replaced: Container[nn.Module],
    loops: bool = False,
    int8: bool = False,
    encoder: bool = True,
) -> tuple[dict[nn.Module, Product], int]:
    """Have the encoder and the layers of decode steps run by native code.

    Returns each module's product, and the bytes of all panels.

    Panels take the place of the plain weights of modules that are ``replaced``, and of an embedding that is tied to one
    of them, the head. ``loops``: not in compiled steps, whose products are loops. ``int8``: round the weights to it;
    then no embedding may be tied to one that is replaced. ``encoder``: run it natively too, where no other kernel was
    chosen for its rows.
    """
    packed, memory = pack_all(model, modules, replaced, int8), Memory()
    if model.lm_head in replaced and model.lm_head.weight is model.embedding.weight:
        vars(model.embedding)["forward"] = look_up(packed[model.lm_head][0])
    if encoder:
        vars(model.encoder)["run_layers"] = NativeEncoder(model.encoder, packed.__getitem__, memory)
    vars(model.decoder)["run_layers"] = NativeLayers(model.decoder, packed.__getitem__, memory, loops)
    products = {module: product(parts, memory) for module, parts in packed.items()}
    return products, sum(part.packed.nbytes for parts in packed.values() for part in parts)
