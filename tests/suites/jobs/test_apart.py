"""The process of a cell as the run follows it: how it ended, and who is to blame."""

import json
import queue
import signal

import pytest

from suites.jobs import apart
from suites.jobs.apart import LostError, _Followed
from suites.machine.limits import Limit


class Server:
    """Answers with these messages. One that is a text is written as it is."""

    def __init__(self, *messages, said="", left=0):
        self._messages, self._said = [*messages, {"ended": -signal.SIGKILL, "left": left}], said

    def read(self, seconds_max):
        message = self._messages.pop(0)
        return message if isinstance(message, str) else json.dumps(message) + "\n"

    def said(self):
        return self._said


@pytest.mark.parametrize("who", ["the control group /job", "this machine"])
def test_a_kill_by_the_kernel_for_lack_of_memory_says_whose(monkeypatch, who):
    counts = iter([{"the control group /job": 3, "this machine": 7}] * 2)
    monkeypatch.setattr(apart, "oom_kills", lambda: {**next(counts), who: 7 + len(seen)})
    monkeypatch.setattr(apart, "memory_limit", lambda: Limit(1 << 30, "memory.max of the control group /job"))
    seen = []
    followed = _Followed(Server({"began": 0}, {"at_work": "mine"}), None, None)
    seen.append("the process")
    followed.follow()
    with pytest.raises(LostError) as lost:
        followed.conclude()
    assert lost.value.label == "mine"
    assert lost.value.fault.reason == (
        f"out of memory: its process was killed for lack of memory in {who} (1.00 GiB: memory.max of the control group "
        "/job)"
    )


def test_a_kill_by_somebody_else_does_not(monkeypatch):
    monkeypatch.setattr(apart, "oom_kills", lambda: {"this machine": 7})
    followed = _Followed(Server({"began": 0}), None, None)
    followed.follow()
    with pytest.raises(LostError, match=r"^its process was ended by SIGKILL$"):
        followed.conclude()


def test_half_a_message_of_a_process_that_is_killed_while_it_writes_is_no_outcome(monkeypatch):
    monkeypatch.setattr(apart, "oom_kills", dict)
    half = json.dumps({"spoiled": ["mine", {"reason": "CUDA error", "traceback": "x" * 5000}, []]})[:4096] + "\n"
    followed = _Followed(Server({"began": 0}, {"at_work": "mine"}, half), None, None)
    followed.follow()
    with pytest.raises(LostError, match=r"^its process was ended by SIGKILL$") as lost:
        followed.conclude()
    assert lost.value.label == "mine"


@pytest.mark.parametrize(
    ("left", "line"),
    [
        (0, ""),
        (1, "1 process that a strategy had started was ended\n"),
        (2, "2 processes that a strategy had started were ended\n"),
    ],
)
def test_the_run_says_what_a_strategy_left_behind(left, line, capfd):
    _Followed(Server({"began": 0}, {"done": True}, left=left), None, None).follow()
    assert capfd.readouterr().err == line


class Silent(Server):
    """Says nothing more after its messages, until the process is killed."""

    def read(self, seconds_max):
        if len(self._messages) == 1 and seconds_max is not None:
            raise queue.Empty
        return super().read(seconds_max)


@pytest.mark.parametrize(
    ("working_s", "label", "reason"),
    [
        (6.0, "mine", "no end within measure.cell_seconds_max=10 s: its process was ended"),
        (
            4.0,
            "",
            "the cell took longer than measure.cell_seconds_max=10 s; allow more, or measure fewer rounds or arms",
        ),
    ],
)
def test_only_an_arm_that_was_at_work_for_more_than_half_of_the_time_hangs(monkeypatch, working_s, label, reason):
    times, killed = iter([0.0, 0.0, 0.0, 10 - working_s, 10.0, 10.0]), []
    monkeypatch.setattr(apart.time, "monotonic", lambda: next(times))
    monkeypatch.setattr(apart, "kill_tree", killed.append)
    followed = _Followed(Silent({"began": 7}, {"at_work": "mine"}), 10.0, None)
    followed.follow()
    with pytest.raises(LostError) as lost:
        followed.conclude()
    assert (lost.value.label, lost.value.fault.reason, killed) == (label, reason, [7])


def test_a_server_that_is_gone_is_told_as_such():
    gone = Server({"began": 0}, {"at_work": "mine"})
    gone.read = lambda seconds_max, read=gone.read: "" if len(gone._messages) == 1 else read(seconds_max)
    gone.ended = lambda: ("its process was ended by SIGKILL", "")
    followed = _Followed(gone, None, None)
    followed.follow()
    assert not followed.server_lives
    with pytest.raises(LostError, match="ended by SIGKILL"):
        followed.conclude()


class Deaf(Server):
    """The process of a cell to which the first of two interrupts is lost."""

    def __init__(self):
        super().__init__("")
        self.heard = 0

    def read(self, seconds_max=None):
        if self.heard < 2:
            raise queue.Empty
        return json.dumps({"ended": 0, "left": 0})

    def kill(self):
        raise AssertionError("it had not been asked again")


def test_a_process_that_misses_an_interrupt_is_interrupted_again_before_it_is_killed(monkeypatch):
    server = Deaf()
    cell = _Followed(server, None, None)

    def heard(number):
        server.heard += 1

    monkeypatch.setattr(cell, "signal", heard)
    cell.stop_within(0.2)
    assert server.heard == 2
    assert cell.server_lives
