"""Compile C++ sources at their first use, keep the libraries in the user's cache, and load them.

A library is kept under a digest of all that it is made from, and followed in its file by a digest of its own bytes: a
damaged file is not loaded, since that can end the process, but made anew.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from filelock import FileLock

from ...message_text import first_line
from ..compiling import CompileError
from .instruction_set import NONE, InstructionSet, instruction_set

FLAGS = (
    "-O3",
    "-std=c++17",
    "-fopenmp",
    "-shared",
    "-fPIC",
    # Never -ffast-math: a library that is linked with it makes the thread that loads it flush denormal numbers to zero.
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
)
KEPT = 32
"""Libraries that the cache keeps, the most recently used ones. It may be deleted at any time."""
DIGEST_BYTES = 16


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its path, and what it says of its version."""

    path: str
    version: str


@functools.cache
def library(source: Path) -> ctypes.CDLL:
    """The library of a C++ source and of the headers in its folder, for the instructions that torch uses here.

    Its parallel loops run on torch's threads, as many as ``torch.set_num_threads`` says. Raises CompileError.
    """
    found, instructions = _compiler(), instruction_set()
    if found is None or why_unavailable():
        raise CompileError(why_unavailable())
    error: OSError | NotImplementedError | None = None
    for folder in (_cache, _temporary):
        try:
            return _loaded(source, found, instructions, folder())
        except (OSError, NotImplementedError) as failed:  # the latter where the file system has no locks
            error = failed
    assert error is not None
    raise CompileError(f"cannot keep or load the library of {source.name}: {first_line(error)}; give linear=torch")


@functools.cache
def why_unavailable() -> str:
    """Why native kernels cannot be used in this process, in one line with a remedy; "" if they can."""
    if instruction_set() == NONE:
        capability, name = torch.backends.cpu.get_cpu_capability(), "ATEN_CPU_CAPABILITY"
        asked = f"unset {name}={os.environ[name]}, or " if name in os.environ else ""
        return (
            "native kernels need the instructions AVX2 or AVX-512 of an x86 processor, and torch uses "
            f"{capability} here; {asked}give linear=torch"
        )
    found = _compiler()
    if found is None:
        asked = f"CXX={os.environ['CXX']}" if os.environ.get("CXX") else "g++"
        return (
            f"native kernels need a C++ compiler, and {asked} cannot be run here; install g++, set CXX to a compiler, "
            "or give linear=torch"
        )
    # torch's OpenMP must offer the function by which the compiler's code opens a parallel region: otherwise the code
    # brings threads of its own, beside torch's and in a number that torch does not set.
    opens = "__kmpc_fork_call" if "clang" in found.version else "GOMP_parallel"
    if not hasattr(ctypes.CDLL(None), opens):
        return (
            f"native kernels run on torch's threads, and code of the compiler {found.path} cannot here, because this "
            f"build of torch has no {opens}; set CXX to {'g++' if 'clang' in found.version else 'clang++'}, or give "
            "linear=torch"
        )
    return ""


@functools.cache
def _compiler() -> Compiler | None:
    """The compiler that torch's own compiler uses too, without the second that it takes to import that one."""
    path = shutil.which(os.environ.get("CXX") or "g++")
    if path is None:
        return None
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace")
    except OSError:
        return None
    return None if done.returncode else Compiler(path, done.stdout)


def _cache() -> Path:
    return platformdirs.user_cache_path("decodebench") / "kernels"


@functools.cache
def _temporary() -> Path:
    """A folder of this process, for where the user's cache cannot serve."""
    folder = tempfile.mkdtemp(prefix="decodebench-kernels-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _loaded(source: Path, compiler: Compiler, instructions: InstructionSet, folder: Path) -> ctypes.CDLL:
    """Load the library from ``folder``, and make it first if it is not there whole. Processes wait for one another."""
    path = folder / f"{source.stem}-{instructions.name}-{_key(source, compiler, instructions)}.so"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock", fallback_to_soft=False, preserve_lock_file=True):
        if not _is_whole(path):
            content = _compiled(source, compiler, instructions)
            _write(path, content + _digest(content))
        os.utime(path)
        loaded = ctypes.CDLL(str(path))
        for file in (*folder.glob("*.part"), *sorted(folder.glob("*.so"), key=_used_s, reverse=True)[KEPT:]):
            file.unlink()
        return loaded


def _key(source: Path, compiler: Compiler, instructions: InstructionSet) -> str:
    """Digest of all that decides what the compiler makes of the source."""
    files = [source, *sorted(source.parent.glob("*.h"))]
    parts = [compiler, instructions, FLAGS, [(file.name, file.read_bytes()) for file in files]]
    return _digest(repr(parts).encode()).hex()


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _is_whole(path: Path) -> bool:
    """Whether the file is there and ends in the digest of what stands before."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    return content[-DIGEST_BYTES:] == _digest(content[:-DIGEST_BYTES])


def _compiled(source: Path, compiler: Compiler, instructions: InstructionSet) -> bytes:
    """What the compiler makes of the source. Raises CompileError with the first error that it tells."""
    with tempfile.TemporaryDirectory(prefix="decodebench-kernels-") as folder:
        made = Path(folder) / "library.so"
        # What compiles with the newest instructions needs an assembler that knows them, too: only trying tells.
        for flags in dict.fromkeys((instructions.flags + instructions.newer, instructions.flags)):
            done = subprocess.run(
                [compiler.path, *FLAGS, *flags, "-o", str(made), str(source)],
                env={**os.environ, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                errors="replace",
            )
            if not done.returncode:
                return made.read_bytes()
    lines = done.stderr.splitlines()
    told = next((line for line in lines if "error" in line or "ld: " in line), f"rc {done.returncode}")
    reason = first_line(RuntimeError(told))
    raise CompileError(f"{compiler.path} cannot compile {source.name}: {reason}; give linear=torch")


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _used_s(path: Path) -> float:
    return path.stat().st_mtime
