"""Which attention kernel torch chooses, how exact it is, and what a new length costs it.

`python -m tests.gpu_check.attention cuda|cpu`. On a CPU the choice is not asked for, because that function is CUDA's.
"""

import sys
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

SHAPES = [
    (1, 8, 1, 1, 64),
    (1, 8, 1, 37, 64),
    (1, 32, 1, 64, 128),
    (32, 8, 1, 64, 64),
    (1, 8, 37, 37, 64),
    (2, 3, 1, 7, 5),
]
"""Batch, heads, query rows, keys, head size."""
LENGTHS = range(100, 108)


def tensors(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> tuple[torch.Tensor, ...]:
    """q, k, v, and a bias whose rows are strided by a multiple of eight, as the memory-efficient kernel wants it."""
    batch, heads, rows, keys, size = shape
    q = torch.randn(batch, heads, rows, size, device=device, dtype=dtype)
    k, v = (torch.randn(batch, heads, keys, size, device=device, dtype=dtype) for _ in range(2))
    padded = -(-keys // 8) * 8
    return q, k, v, torch.randn(1, heads, rows, padded, device=device, dtype=dtype)[..., :keys]


def error(given: tuple[torch.Tensor, ...], out: torch.Tensor) -> float:
    q, k, v, bias = (tensor.double() for tensor in given)
    return float(((q @ k.mT + bias).softmax(-1) @ v - out).abs().max())


def choices(device: str) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for shape in SHAPES:
            given = q, k, v, bias = tensors(shape, dtype, device)
            chosen = "not asked"
            if device == "cuda":
                numbers = torch._fused_sdp_choice(q, k, v, bias), torch._fused_sdp_choice(q, k, v)
                chosen = "bias {}, none {}".format(*(SDPBackend(number).name for number in numbers))
            out = F.scaled_dot_product_attention(q, k, v, bias, scale=1.0)
            print("chosen", dtype, shape, chosen, f"error {error(given, out):.2g}")


def new_length(backend: SDPBackend, device: str) -> None:
    """What the first call with a new number of keys takes, and later ones with the same."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    first_us, later_us, errors = [], [], []
    with sdpa_kernel([backend]):
        for keys in LENGTHS:
            given = tensors((1, 8, 1, keys, 64), torch.bfloat16, device)
            for times, count in ((first_us, 1), (later_us, 20)):
                wait()
                start = time.perf_counter()
                for _ in range(count):
                    out = F.scaled_dot_product_attention(*given, scale=1.0)
                wait()
                times.append(round((time.perf_counter() - start) / count * 1e6))
            errors.append(error(given, out))
    print("new length", backend.name, "first call us", first_us, "later us", later_us, f"error {max(errors):.2g}")


def main(device: str) -> None:
    choices(device)
    fused = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION] if device == "cuda" else []
    for backend in (SDPBackend.MATH, *fused):
        try:
            new_length(backend, device)
        except RuntimeError as refused:  # a kernel that this device lacks is printed, and is no failure
            print("new length", backend.name, "refused:", str(refused).split("\n")[0])


if __name__ == "__main__":
    main(sys.argv[1])
