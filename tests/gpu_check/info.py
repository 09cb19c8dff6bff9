"""The device and the versions: `python -m tests.gpu_check.info cuda|cpu`; fails where the device is not there."""

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from re import match

import torch

BESIDE = ("transformers", "pytest", "hypothesis", "nvidia-ml-py", "triton", "tokenizers", "sentencepiece")
QUERY = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,power.draw,persistence_mode"


def needed() -> list[str]:
    """Distributions that the project needs, as far as its own metadata is installed, and some beside them."""
    try:
        lines = [line for line in requires("decodebench") or () if "extra ==" not in line]
    except PackageNotFoundError:
        lines = [
            "hydra-core",
            "pandas",
            "matplotlib",
            "scipy",
            "sympy",
            "rich",
            "psutil",
            "jinja2",
            "pydantic",
            "altair",
        ]
        lines += ["vl-convert-python", "itables", "platformdirs", "markdown-it-py", "safetensors"]
    return [match(r"[\w-]+", line).group() for line in lines] + list(BESIDE)


def versions() -> list[str]:
    found = []
    for name in needed():
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} MISSING")
    return found


def main(device: str) -> None:
    print("python", sys.version.split()[0], "torch", torch.__version__, "cuda", torch.version.cuda)
    print("; ".join(versions()))
    print("threads", torch.get_num_threads(), "float32 products", torch.get_float32_matmul_precision())
    if device == "cpu":
        return
    if smi := shutil.which("nvidia-smi"):
        said = subprocess.run(
            [smi, f"--query-gpu={QUERY}", "--format=csv"], capture_output=True, text=True, check=False
        )
        print(said.stdout + said.stderr)
    if not torch.cuda.is_available():
        sys.exit("no CUDA device")
    print(torch.cuda.get_device_properties(0))
    print(
        "cuDNN", torch.backends.cudnn.version(), "NCCL", torch.cuda.nccl.version(), "archs", torch.cuda.get_arch_list()
    )


if __name__ == "__main__":
    main(sys.argv[1])
