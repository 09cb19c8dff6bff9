"""C++ sources are compiled once for all that they depend on, share torch's threads, and fail in one line."""

import ctypes
import os
import threading
from pathlib import Path

import numpy
import psutil
import pytest
import torch

from strategies.models.kernels.compiling import CompileError
from strategies.models.kernels.native import compiler
from strategies.models.kernels.native.instruction_set import (
    AVX2_FLAGS,
    AVX512_FLAGS,
    NONE,
    InstructionSet,
    instruction_set,
)

needs_compiler = pytest.mark.skipif(compiler.why_unavailable() != "", reason=compiler.why_unavailable())
ANSWER = """
#include "answer.h"
extern "C" int answer() { return ANSWER; }
"""
WIDTH = """
#ifdef __AVX512F__
extern "C" int answer() { return 512; }
#else
extern "C" int answer() { return 256; }
#endif
"""
THREADS = """
extern "C" int omp_get_max_threads();
extern "C" int omp_get_num_threads();
extern "C" int most() { return omp_get_max_threads(); }
extern "C" int answer() {
    int threads = 0;
#pragma omp parallel
#pragma omp single
    threads = omp_get_num_threads();
    return threads;
}
"""
NUMBERS = """
extern "C" float answer(float a, float b) { return a * b; }
extern "C" int differs(float a) { return a != a; }
"""


def forget():
    for function in (compiler.library, compiler.why_unavailable, compiler._compiler, compiler._temporary):
        function.cache_clear()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of this test's libraries; what this process knows of compilers and libraries is forgotten."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    forget()
    yield tmp_path / "cache" / "decodebench" / "kernels"
    forget()


@pytest.fixture
def compilations(tmp_path, monkeypatch):
    """The calls of the compiler that compile, one by one."""
    log, real = tmp_path / "calls", compiler._compiler().path
    program(tmp_path / "compiler", f'echo "$*" >> {log}\nexec {real} "$@"', monkeypatch)
    return lambda: [line for line in log.read_text().splitlines() if line != "--version"]


def program(path, script, monkeypatch):
    """Let CXX be a program of this script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    forget()


def write(folder, text, answer=42):
    folder.mkdir(exist_ok=True)
    (folder / "answer.h").write_text(f"#define ANSWER {answer}")
    source = folder / "source.cpp"
    source.write_text(text)
    return source


def answer(source):
    """As another process would have it, which knows no library yet."""
    compiler.library.cache_clear()
    return compiler.library(source).answer()


@needs_compiler
def test_a_source_is_compiled_anew_only_when_it_or_a_header_or_a_flag_changed(
    tmp_path, cache, compilations, monkeypatch
):
    source = write(tmp_path / "source", ANSWER)
    assert [answer(source), answer(source), len(compilations())] == [42, 42, 1]
    assert [answer(write(tmp_path / "source", ANSWER, 43)), len(compilations())] == [43, 2]
    assert [answer(write(tmp_path / "source", ANSWER.replace("ANSWER;", "-ANSWER;"))), len(compilations())] == [-42, 3]
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-DNDEBUG"))
    assert [answer(source), len(compilations())] == [-42, 4]
    assert len([*cache.glob("*.so")]) == 4
    assert {path.suffix for path in cache.iterdir()} - {".so"} == {""}  # the lock


@needs_compiler
def test_code_for_one_instruction_set_is_not_loaded_for_another(tmp_path, monkeypatch):
    source = write(tmp_path / "source", WIDTH)
    for _ in range(2):
        for name, flags, width in (("avx512", AVX512_FLAGS, 512), ("avx2", AVX2_FLAGS, 256)):
            monkeypatch.setattr(compiler, "instruction_set", lambda name=name, flags=flags: InstructionSet(name, flags))
            assert answer(source) == width


@pytest.mark.parametrize(
    ("capability", "vnni", "tiles", "allowed", "name"),  # vnni: of the width that torch uses
    [
        ("AVX512", True, True, True, "amx_int8"),
        ("AVX512", True, True, False, "avx512_vnni"),
        ("AVX512", True, False, True, "avx512_vnni"),
        ("AVX512", False, False, False, "avx512"),
        ("AVX2", True, True, True, "avx_vnni"),
        ("AVX2", False, True, True, "avx2"),
        ("DEFAULT", True, True, True, "none"),
        ("SVE256", False, False, False, "none"),
    ],
)
def test_the_instruction_set_is_the_one_that_torch_uses(capability, vnni, tiles, allowed, name, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx_vnni": vnni}, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    monkeypatch.setattr(torch.cpu, "_init_amx", lambda: allowed)
    found = instruction_set()
    assert found.name == name
    assert ("-mavx512f" in found.flags, "-mavx512vnni" in found.flags) == (
        name in ("avx512", "avx512_vnni", "amx_int8"),
        name in ("avx512_vnni", "amx_int8"),
    )
    newest = {"amx_int8": ("-mamx-tile", "-mamx-int8"), "avx_vnni": ("-mavxvnni",)}
    assert found.newer == newest.get(name, ())
    assert (found == NONE) == (name == "none")


@needs_compiler
@pytest.mark.parametrize("known", [True, False])
def test_where_compiler_or_assembler_is_too_old_for_the_newest_instructions_the_code_does_without(
    known, tmp_path, monkeypatch
):
    real, asked = compiler._compiler().path, InstructionSet("new", AVX2_FLAGS, ("-DNEW",))
    monkeypatch.setattr(compiler, "instruction_set", lambda: asked)
    refuses = 'case "$*" in *-DNEW*) exit 1;; esac\n' if not known else ""
    program(tmp_path / "old", f'{refuses}exec {real} "$@"', monkeypatch)
    text = '#ifdef NEW\nextern "C" int answer() { return 1; }\n#else\nextern "C" int answer() { return 0; }\n#endif'
    assert answer(write(tmp_path / "source", text)) == known


@needs_compiler
def test_compiled_loops_run_on_the_threads_of_torch_and_bring_none_of_their_own(tmp_path):
    torch.set_num_threads(2)
    assert torch.rand(1 << 20).exp().isfinite().all()  # starts torch's second thread
    threads = psutil.Process().num_threads()
    made = compiler.library(write(tmp_path / "source", THREADS))
    assert (made.most(), made.answer()) == (2, 2)
    assert psutil.Process().num_threads() == threads
    torch.set_num_threads(1)
    assert (made.most(), made.answer()) == (1, 1)


@needs_compiler
def test_denormal_numbers_and_nan_survive_the_loading_of_a_library(tmp_path):
    made = compiler.library(write(tmp_path / "source", NUMBERS))
    made.answer.restype, made.answer.argtypes = ctypes.c_float, [ctypes.c_float, ctypes.c_float]
    made.differs.argtypes = [ctypes.c_float]
    small = numpy.float32(1e-40)
    assert made.answer(small, 1.0) == small != 0
    assert numpy.full(99, small) * numpy.float32(1) == pytest.approx(small, rel=0, abs=0)
    assert (torch.full((99,), 1e-40) * 1).min().item() == small
    assert made.differs(float("nan")) == 1


@needs_compiler
@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: content[:-1] + b"?"],
    ids=["half", "empty", "one byte"],
)
def test_a_damaged_library_is_made_anew(damage, tmp_path, cache, compilations, monkeypatch):
    source = write(tmp_path / "source", ANSWER)
    answer(source)
    (path,) = cache.glob("*.so")
    whole = path.read_bytes()
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "other" / name)
    copy = tmp_path / "other" / "decodebench" / "kernels" / path.name  # this process has loaded the other path
    copy.parent.mkdir(parents=True)
    copy.write_bytes(damage(whole))
    assert [answer(source), len(compilations())] == [42, 2]
    assert copy.read_bytes() == whole


@needs_compiler
def test_a_library_that_is_whole_and_cannot_be_loaded_is_made_in_a_temporary_folder(tmp_path, cache):
    source = write(tmp_path / "source", ANSWER)
    cache.mkdir(parents=True)
    key = compiler._key(source, compiler._compiler(), instruction_set())
    content = b"of another machine"
    (cache / f"source-{instruction_set().name}-{key}.so").write_bytes(content + compiler._digest(content))
    assert answer(source) == 42
    assert len([*compiler._temporary().glob("source-*.so")]) == 1


@needs_compiler
def test_threads_that_want_one_library_compile_it_once(tmp_path, compilations):
    source, answers = write(tmp_path / "source", ANSWER), []
    barrier = threading.Barrier(2)

    def ask():
        barrier.wait()
        answers.append(compiler.library(source).answer())

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers, len(compilations())] == [[42, 42], 1]


@needs_compiler
def test_without_a_cache_that_can_be_written_a_temporary_folder_serves(tmp_path, cache):
    cache.parent.parent.write_text("a file where the folder would be")
    assert answer(write(tmp_path / "source", ANSWER)) == 42
    assert len([*compiler._temporary().glob("source-*.so")]) == 1


@needs_compiler
def test_the_cache_keeps_the_libraries_that_were_used_last(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(compiler, "KEPT", 2)
    cache.mkdir(parents=True)
    for age, name in enumerate(["newest.so", "older.so", "oldest.so", "left.so.1.part"], start=1):
        (cache / name).write_bytes(b"")
        os.utime(cache / name, (1e9 - age, 1e9 - age))
    assert answer(write(tmp_path / "source", ANSWER)) == 42
    assert {path.name.partition("-")[0] for path in cache.iterdir()} == {"source", "newest.so", "lock"}


@needs_compiler
def test_a_source_that_cannot_be_compiled_is_told_in_one_line(tmp_path, cache):
    source = write(tmp_path / "source", "int answer() {\n    return unknown;\n}\nint again() { return unknown; }")
    with pytest.raises(CompileError) as raised:
        compiler.library(source)
    message = str(raised.value)
    assert "cannot compile source.cpp: " in message
    assert "source.cpp:2:12: error: " in message
    assert message.endswith("; give linear=torch")
    assert "\n" not in message
    assert not [*cache.glob("*.so")]


def test_without_a_compiler_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "instruction_set", lambda: InstructionSet("avx2", AVX2_FLAGS))
    monkeypatch.setenv("CXX", str(tmp_path / "missing"))
    forget()
    assert compiler.why_unavailable() == (
        f"native kernels need a C++ compiler, and CXX={tmp_path}/missing cannot be run here; install g++, set CXX to a "
        "compiler, or give linear=torch"
    )
    with pytest.raises(CompileError, match="need a C"):
        compiler.library(Path("any.cpp"))
    program(tmp_path / "broken", "exit 1", monkeypatch)
    assert "broken cannot be run here" in compiler.why_unavailable()


def test_a_compiler_whose_threads_would_not_be_those_of_torch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "instruction_set", lambda: InstructionSet("avx2", AVX2_FLAGS))
    if hasattr(ctypes.CDLL(None), "__kmpc_fork_call"):
        pytest.skip("this build of torch serves code of clang too")
    program(tmp_path / "clang", "echo clang version 14", monkeypatch)
    assert "this build of torch has no __kmpc_fork_call; set CXX to g++, or give linear=torch" in (
        compiler.why_unavailable()
    )


def test_a_processor_without_the_instructions_is_told_with_what_was_asked_for(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert compiler.why_unavailable() == (
        "native kernels need the instructions AVX2 or AVX-512 of an x86 processor, and torch uses DEFAULT here; unset "
        "ATEN_CPU_CAPABILITY=default, or give linear=torch"
    )
