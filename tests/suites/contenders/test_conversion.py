"""What a contender makes once per checkpoint is made in a process of its own."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from suites.contenders import Contender, ContenderError
from suites.contenders.running import child
from suites.contenders.running.child import Served
from suites.contenders.running.conversion import convert_once
from suites.store.files import made_once


class Converting(Contender):
    """It leaves the id of the process that converts."""

    converted = "made"

    def convert(self, checkpoint):
        with checkpoint.with_name("made").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def prepare(self, checkpoint, cell):
        assert checkpoint.with_name("made").exists()


def test_a_process_of_its_own_converts_only_once_and_before_setup_is_timed(
    fixed_cell, request_of, tmp_path, monkeypatch
):
    """The clock goes from 0 to 1 when the folder is there."""
    monkeypatch.setattr(child, "time", SimpleNamespace(perf_counter=lambda: int((tmp_path / "made").exists())))
    request = request_of(fixed_cell) | {"checkpoint": str(tmp_path / "checkpoint")}
    for _ in range(2):
        assert Served(Converting()).prepare(request)["setup_s"] == 0
    (process,) = (tmp_path / "made").read_text().split()
    assert int(process) != os.getpid()


class TwoPartsError(Exception):
    """An error that cannot be sent to another process as it is."""

    def __init__(self, part, other):
        super().__init__(f"{part} of {other}")


class Failing(Contender):
    name, converted = "failing", "never"

    def __init__(self, signal_=None):
        self.signal = signal_

    def convert(self, checkpoint):
        if self.signal:
            os.kill(os.getpid(), self.signal)
        raise TwoPartsError("half", "it")


@pytest.mark.parametrize(
    ("contender", "how"),
    [
        (Failing(), "TwoPartsError: half of it; mend it"),
        (Failing(signal.SIGKILL), "its process was ended by SIGKILL; free memory for it"),
    ],
    ids=["raises", "killed"],
)
def test_a_conversion_that_fails_is_told_in_one_line(contender, how, tmp_path):
    with pytest.raises(ContenderError) as raised:
        convert_once(contender, tmp_path / "checkpoint")
    told = f"{tmp_path / 'checkpoint'} could not be converted for failing: {how}, or leave the contender out"
    assert str(raised.value).startswith(told)
    assert "\n" not in str(raised.value)


def test_what_killed_processes_have_left_is_removed(tmp_path):
    """A process that still lives keeps its part."""
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    parts = []

    def fill(part):
        parts.append(part)
        part.mkdir()

    made_once(tmp_path / "first", fill)
    names = [parts[0].name.replace("first", "made").replace(str(os.getpid()), str(one.pid)) for one in (living, dead)]
    for name in names:
        (tmp_path / name).mkdir()
    made_once(tmp_path / "made", fill)
    living.communicate()
    assert {entry.name for entry in tmp_path.iterdir()} == {"first", "made", names[0]}
