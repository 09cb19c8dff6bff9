"""A signal to stop lets a round finish, stops anything else at once, and leaves the process as it was."""

import os
import signal
import sys
import threading

import pytest

from suites.machine import signals
from suites.machine.signals import (
    Stopped,
    finished_first,
    handled,
    is_stop,
    request_stop,
    stop_if_requested,
    stop_requested,
)

TO_STOP = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "code"), TO_STOP)
def test_outside_a_round_a_signal_stops_at_once_with_the_code_of_the_shell(number, code, capfd):
    with pytest.raises(Stopped) as stopped, handled():
        signal.raise_signal(number)
    assert stopped.value.code == code
    assert isinstance(stopped.value, KeyboardInterrupt)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("number", "code"), TO_STOP)
def test_in_a_round_it_is_noted_and_told_in_one_line(number, code, capfd):
    with handled():
        with finished_first():
            signal.raise_signal(number)
            assert stop_requested() == "interrupted"
        with pytest.raises(Stopped) as stopped:
            stop_if_requested()
    assert stopped.value.code == code
    (line,) = capfd.readouterr().err.splitlines()
    assert line == "decodebench: stopping once the round in progress is done; Ctrl-C again stops now"


@pytest.mark.parametrize("first", [number for number, _ in TO_STOP])
def test_a_further_ctrl_c_stops_now_and_the_others_do_not(first):
    with handled(), finished_first():
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_handlers_are_restored_and_nothing_is_requested():
    before = [signal.getsignal(number) for number, _ in TO_STOP]
    with handled(), finished_first():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(number) for number, _ in TO_STOP] == before
    assert stop_requested() == ""
    stop_if_requested()


def test_a_signal_that_is_ignored_as_by_nohup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handled():
            signal.raise_signal(signal.SIGHUP)
            assert stop_requested() == ""
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_in_another_thread_no_handler_is_set():
    seen = []

    def other():
        with handled():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_the_program_may_ask_with_a_reason_of_its_own_and_what_waits_is_told_of_it():
    told = []
    with handled(), finished_first(told.append):
        request_stop(signals.CHECKPOINT, signal.SIGUSR2)
        request_stop(signals.INTERRUPTED, signal.SIGTERM)
        assert stop_requested() == "checkpoint"
    assert told == [signal.SIGUSR2]
    with handled(), pytest.raises(Stopped, match="checkpoint"):
        request_stop(signals.CHECKPOINT, signal.SIGUSR2)


def test_an_interrupt_without_a_request_is_no_stop_where_signals_are_handled_and_is_one_elsewhere():
    interrupt, before = KeyboardInterrupt(), signal.getsignal(signal.SIGINT)
    assert is_stop(interrupt)
    with handled():
        assert not is_stop(interrupt)
        assert not is_stop(SystemExit())
        assert is_stop(Stopped("interrupted", signal.SIGINT))
        with finished_first():
            signal.raise_signal(signal.SIGTERM)
            assert is_stop(interrupt)
    with handled():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as a notebook or a debugger does
        assert is_stop(interrupt)
    assert is_stop(interrupt)
    signal.signal(signal.SIGINT, before)


class Finalized:
    """Does its deed when it is deleted, where Python can raise nothing."""

    def __init__(self, deed):
        self._deed = deed

    def __del__(self):
        self._deed()


def test_a_signal_in_a_finalizer_is_noted_and_prints_no_traceback(monkeypatch):
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: shown.append(repr(unraisable.exc_value)))
    before = sys.unraisablehook
    with handled():
        Finalized(lambda: 1 / 0)
        Finalized(lambda: signal.raise_signal(signal.SIGTERM))
        assert stop_requested() == "interrupted"
    assert shown == ["ZeroDivisionError('division by zero')"]
    assert sys.unraisablehook is before


def test_a_terminal_that_is_gone_is_not_written_to(monkeypatch):
    ours, theirs = os.openpty()
    kept = os.dup(2)
    os.dup2(theirs, 2)
    try:
        with handled(), finished_first():
            os.close(ours)
            with pytest.raises(OSError, match="Input/output"):
                os.write(2, b"lost")
            signal.raise_signal(signal.SIGHUP)
            assert os.write(2, b"lost") == 4
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(theirs)
