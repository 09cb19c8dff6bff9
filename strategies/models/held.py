"""What a model holds of its weights: a packed or narrower copy may have replaced the plain weight (``kernels``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from .config import ModelError


@dataclass(frozen=True)
class Replacement:
    """The tensors that hold a weight in another layout, and the function that gives it in the plain one."""

    tensors: Sequence[Tensor]
    unpack: Callable[[], Tensor]


def replace(weight: Tensor, by: Replacement) -> None:
    """Give back the memory of a parameter, which ``by`` holds from now on; its shape, type and device are still known.

    Every element reads as NaN from then on, so a product that reads the parameter by mistake is seen at once. A deep
    copy of the model shares the parameter, as it shares what replaced it.
    """
    weight.data = torch.full((), math.nan, dtype=weight.dtype, device=weight.device).expand(weight.shape)
    vars(weight)["replacement"] = by
    itself = ref(weight)  # no more than a reference, so that the weight is freed with its model
    vars(weight)["__deepcopy__"] = lambda memo: itself()


def is_replaced(weight: Tensor) -> bool:
    """Whether something else holds what was a parameter's."""
    return "replacement" in vars(weight)


def plain(weight: Tensor) -> Tensor:
    """A parameter in the plain layout: itself, or a copy that is made now of what replaced it.

    Where narrower weights did, the copy has their values, which are rounded.
    """
    by: Replacement | None = vars(weight).get("replacement")
    return weight.detach() if by is None else by.unpack()


def keep_state(model: nn.Module) -> None:
    """Have ``state_dict`` give the plain weights, and ``load_state_dict`` raise ModelError, for a model and its parts.

    It needs this once its products read something else than its parameters, as what is loaded would have no effect.
    """
    for module in model.modules():
        module.register_state_dict_post_hook(_plain_state)  # type: ignore[no-untyped-call]
        module.register_load_state_dict_pre_hook(_refuse_state)  # type: ignore[no-untyped-call]


def _plain_state(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Put plain weights into ``state``. Modules that share a parameter share what is made of it too."""
    for name, weight in module.named_parameters(recurse=False):
        if is_replaced(weight):
            last = vars(weight).get("made")
            made = None if last is None else last()
            if made is None:
                made = plain(weight)
                vars(weight)["made"] = ref(made)
            state[prefix + name] = made


def _refuse_state(module: nn.Module, *_: Any) -> None:
    raise ModelError(
        "this model multiplies by copies of its weights, which linear= or weights= made, so no state dict can be "
        "loaded into it; load it into a new model, and choose the kernel afterwards"
    )


def held(model: nn.Module) -> list[Tensor]:
    """The tensors that hold a model's parameters: the parameters themselves, or what replaced them."""
    found: list[Tensor] = []
    for weight in model.parameters():
        by: Replacement | None = vars(weight).get("replacement")
        found += [weight] if by is None else by.tensors
    return found


def plain_bytes(model: nn.Module) -> int:
    """Bytes of the parameters that nothing has replaced."""
    return sum(weight.nbytes for weight in model.parameters() if not is_replaced(weight))
