"""What a contender makes once per checkpoint is made in a process of its own."""

import os

from suites.contenders import Contender
from suites.contenders.running.child import Served


class Converting(Contender):
    """It leaves the id of the process that converts."""

    converted = "made"

    def convert(self, checkpoint):
        with checkpoint.with_name("made").open("a") as file:
            file.write(f"{os.getpid()}\n")

    def prepare(self, checkpoint, cell):
        assert checkpoint.with_name("made").exists()


def test_a_process_of_its_own_converts_and_only_once(fixed_cell, request_of, tmp_path):
    request = request_of(fixed_cell) | {"checkpoint": str(tmp_path / "checkpoint")}
    for _ in range(2):
        Served(Converting()).prepare(request)
    (process,) = (tmp_path / "made").read_text().split()
    assert int(process) != os.getpid()
