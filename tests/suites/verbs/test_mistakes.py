"""Wrong input to the command line: one line that names the thing, exit 1, no traceback, nothing written."""

import pytest
import torch

from suites.__main__ import main

from .mistakes import CLUSTER, IDLE, IMPOSSIBLE, KEYS, OTHERS, SOURCES, TEXTS, VALUES

MISTAKES = [*KEYS, *VALUES, *TEXTS, *IDLE, *IMPOSSIBLE, *SOURCES, *CLUSTER, *OTHERS]
FILES = {
    "ids": b"3 4 5\n6 7\n",
    "blank": b"3 4\n\n5 6\n",
    "pads": b"3 4\n0 0\n",
    "empty": b"",
    "words": b"tea\n",
    "latin": b"3 \xe9\n",
    "far": b"3 4\n5 99999\n",
    "minus": b"3 -1\n",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a)[:60] for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_1(arguments, said, capsys, monkeypatch, files):
    monkeypatch.chdir(files)
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("decodebench: ")
    assert said in captured.err
    assert len(captured.err) < 500
    assert {path.name for path in files.iterdir()} == set(FILES)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_run_on_a_device_that_is_not_there_is_refused(capsys):
    assert main(["run", "device=cuda"]) == 1
    assert capsys.readouterr().err == "decodebench: device=cuda: no CUDA device here; give device=cpu\n"


def test_list_shows_every_kind_and_what_each_is(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("full_recompute", "static_kv", "read=filled|buffer", "pronounce", "seq_len", "tpot_s", "contenders"):
        assert name in out
    assert main(["list", "sweeps"]) == 0
    assert "pronounce" not in capsys.readouterr().out
