"""``python -m suites decode``: in a forked process, and in this one for the many cases."""

import io
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

from strategies import ModelSpec, StrategyError, load_model, registry, strategy
from strategies.models.pronounce.evaluate import pronounce
from strategies.static_kv import StaticKV, StaticStore
from suites.__main__ import main
from tests.command import suites

PHRASES = ["tea", "attention is all you need"]
ROW = re.compile(r"^(\S+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +(yes|no|approximate)$")


@pytest.fixture(scope="module")
def spoken() -> list[list[list[str]]]:
    """What the model says of PHRASES, each alone."""
    model = load_model(ModelSpec("pronounce", "pronounce"))
    return [pronounce(model, [phrase])[0] for phrase in PHRASES]


@pytest.fixture
def decode(capsys, monkeypatch):
    """``decode(*arguments, stdin)`` -> (exit code, standard output, standard error), on one thread."""

    def run(*arguments: str, stdin: str | None = None):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin or ""))
        code = main(["decode", "--threads", "1", *arguments])
        return code, *capsys.readouterr()

    return run


def rows(out: str) -> dict[str, list[float]]:
    """Strategy -> prefill, total and step in ms, and ratio, of the lines of the table."""
    found = [ROW.match(line.strip()) for line in out.splitlines()]
    return {m[1]: [float(m[i]) for i in range(2, 6)] for m in found if m}


def said(out: str) -> list[list[str]]:
    """Words of each pronunciation that was printed."""
    blocks = out.split("\n\n")[:-2]
    return [block.splitlines()[1].strip().split(" | ") for block in blocks]


def as_words(spoken: list[list[list[str]]]) -> list[list[str]]:
    return [[" ".join(word) or "(nothing)" for word in words] for words in spoken]


def test_a_user_sees_the_pronunciation_the_step_of_its_end_the_times_and_that_all_agree(spoken, tmp_path):
    done = suites("decode", "--threads", "1", PHRASES[1], folder=tmp_path, check=True, COLUMNS="30")
    lines = done.stdout.splitlines()
    assert lines[:2] == [PHRASES[1], "  " + " | ".join(as_words(spoken)[1])]
    steps = sum(len(word) for word in spoken[1]) + len(spoken[1])
    assert lines[2] == f"  ended at step {steps}"
    assert list(rows(done.stdout)) == ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]
    assert lines[-1].startswith("all 4 strategies agree")
    assert "\x1b" not in done.stdout + done.stderr


def test_help_comes_without_torch():
    code = "import sys; from suites.__main__ import main; main(['decode', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"
    for option in ("--strategies", "--file", "--max-new", "--threads", "--device", "--dtype"):
        assert option in done.stdout


def test_arguments_lines_of_a_file_and_of_standard_input_are_the_same_batch(decode, spoken, tmp_path):
    text = f"{PHRASES[0]}\n\n  {PHRASES[1]}\n"
    file = tmp_path / "phrases.txt"
    file.write_text(text)
    only = ("--strategies", "full_recompute")
    ways = [
        decode(*only, *PHRASES),
        decode(*only, "--file", str(file)),
        decode(*only, "--file", "-", stdin=text),
        decode(*only, stdin=text),
    ]
    assert [code for code, _, _ in ways] == [0] * 4
    assert [said(out) for _, out, _ in ways] == [as_words(spoken)] * 4


def test_times_add_up_and_the_ratio_of_the_oracle_is_one(decode):
    _, out, _ = decode("tea time")
    steps = int(re.search(r"ended at step (\d+)", out)[1])
    table = rows(out)
    assert table["full_recompute"][3] == 1
    for prefill_ms, total_ms, step_ms, ratio in table.values():
        assert 0 < prefill_ms < total_ms
        assert 0 < steps * step_ms < 2 * total_ms
        assert ratio > 0


def test_options_of_strategies_are_read_and_the_oracle_is_always_there(decode):
    _, out, _ = decode("tea", "--strategies", "static_kv(capacity=64,read=buffer),cross_kv")
    assert list(rows(out)) == ["full_recompute", "static_kv(capacity=64,read=buffer)", "cross_kv"]
    assert "all 3 strategies agree" in out


def test_all_is_every_registered_strategy(decode):
    _, out, _ = decode("tea", "--strategies", "all")
    assert list(rows(out)) == list(registry())


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_strategies_agree_in_half_precision(decode, dtype):
    code, out, err = decode("tea", "--dtype", dtype)
    assert code == 0, out + err
    assert dtype in out
    assert "all 4 strategies agree" in out


def test_a_phrase_that_does_not_end_in_time_says_so(decode):
    code, out, _ = decode("attention", "--max-new", "2", "--strategies", "static_kv")
    assert code == 0
    assert "not ended at the limit of 2 steps" in out
    assert len(said(out)[0][0].split()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tea", "--strategies", "statik_kv"], "unknown strategy 'statik_kv'.*did you mean 'static_kv'"),
        (["tea", "--strategies", ","], "names none; give core, grid, all"),
        (["tea", "--strategies", "static_kv(size=3)"], "unknown option 'size' of static_kv"),
        (["tea", "--strategies", "static_kv(capacity=2)"], "capacity=2 cannot hold a target of 16 tokens"),
        (["route 66"], "cannot spell '6' in 'route 66'; allowed: the letters a to z"),
        (["tea", ""], "empty phrase"),
        ([], "standard input holds no phrase"),
        (["--file", "-"], "standard input holds no phrase"),
        (["--file", "nowhere.txt"], "cannot read nowhere.txt: No such file or directory"),
        (["--file", "."], "cannot read .: Is a directory"),
        (["--file", "x.txt", "tea"], "a phrase and --file x.txt: give one or the other"),
        (["tea", "--max-new", "0"], "argument --max-new: 0 is not allowed; give a whole number of at least 1"),
        (["tea", "--threads", "two"], "argument --threads: two is not allowed"),
        (["tea", "--dtype", "int8"], "argument --dtype: invalid choice: 'int8'"),
        (["tea", "--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["tea", "--steps", "3"], "unrecognized arguments: --steps"),
        (["tea", "--strategies"], "argument --strategies: expected one argument"),
    ],
)
def test_a_mistake_is_one_line_on_standard_error_and_exit_1(decode, arguments, message):
    code, out, err = decode(*arguments)
    assert (code, out) == (1, "")
    assert re.search(message, err)
    assert err.startswith("decodebench: ")
    assert err.count("\n") == 1


def test_a_file_that_is_not_text_is_a_mistake(decode, tmp_path):
    file = tmp_path / "binary"
    file.write_bytes(b"tea\n\xff\xfe")
    code, _, err = decode("--file", str(file))
    assert code == 1
    assert "not UTF-8 text at byte 4" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_gpu_is_a_mistake_here(decode):
    code, _, err = decode("tea", "--device", "cuda")
    assert code == 1
    assert "no CUDA device here; give --device cpu" in err


def test_nothing_at_a_terminal_is_a_mistake_not_a_wait(monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["decode"]) == 1
    assert "nothing to decode" in capsys.readouterr().err


class ForgetfulStore(StaticStore):
    """Loses the first key from step 3 on."""

    def append(self, k_BHTK, v_BHTK, step):
        k_BHMK, v_BHMK = super().append(k_BHTK, v_BHTK, step)
        return (k_BHMK, v_BHMK) if step.length < 3 else (k_BHMK[:, :, 1:], v_BHMK[:, :, 1:])


@dataclass(frozen=True)
class ForgetfulKV(StaticKV):
    def self_kv(self, shape):
        return ForgetfulStore(shape, self._rows, self.read)


@dataclass(frozen=True)
class BrokenKV(StaticKV):
    def self_kv(self, shape):
        raise StrategyError("broken_kv: no store of this kind")


@pytest.mark.parametrize("wanted", ["forgetful_kv", "static_kv,forgetful_kv"])
def test_a_strategy_that_disagrees_is_named_with_the_step_not_timed_and_exit_1(decode, monkeypatch, wanted):
    monkeypatch.setitem(strategy._ENTRIES, "forgetful_kv", strategy.Entry(ForgetfulKV, (), "loses a key"))
    code, out, _ = decode("attention", "--strategies", wanted)
    assert code == 1
    assert "forgetful_kv" not in rows(out)
    assert re.search(r"^forgetful_kv +no *$", out, re.MULTILINE)
    assert re.search(r"forgetful_kv disagrees with full_recompute: step 3: logits of row 0 differ by", out)
    assert "agree:" not in out


def test_a_strategy_that_cannot_be_built_is_a_mistake(decode, monkeypatch):
    monkeypatch.setitem(strategy._ENTRIES, "broken_kv", strategy.Entry(BrokenKV, (), "has no store"))
    code, _, err = decode("tea", "--strategies", "broken_kv")
    assert code == 1
    assert err == "decodebench: broken_kv: no store of this kind\n"
