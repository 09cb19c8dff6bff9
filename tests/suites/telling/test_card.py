"""The decision card, the ranked table, the title of the main plot and the advice say the same of one table."""

import math
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.judging.ratios import paired_ratio
from suites.judging.verdict import holm, holm_levels, verdict
from suites.plots.totals import message
from suites.plots.views import views
from suites.tables.columns import TEXT_COLUMNS, columns, completed
from suites.tables.groups import NAME_MAX, groups
from suites.telling.advice import advise
from suites.telling.advice.rows import is_strategy
from suites.telling.card import card, cards
from suites.telling.ranking import ranked, rankings, title_of
from suites.words.comparison import Compared, spoken

MARGIN = 0.02
LABELS = ["full_recompute", "static_kv", "contiguous_kv", "static_kv(execution=compiled,read=bucket)", "other system"]
COMMAND = "python -m suites run model=tiny +sweep=seq_len"


def judged(times_by_label, base):
    """Label -> (ratio, verdict, interval at Holm's level) of each arm beside ``base``."""
    ratios = {label: paired_ratio(times, times_by_label[base]) for label, times in times_by_label.items()}
    others = [label for label in ratios if label != base]
    p_values = [ratios[label].p for label in others]
    adjusted = dict(zip(others, zip(holm(p_values), holm_levels(p_values), strict=True), strict=True))
    found = {}
    for label, ratio in ratios.items():
        p, level = adjusted.get(label, (math.nan, math.nan))
        found[label] = ratio, "baseline" if label == base else verdict(ratio, MARGIN, p), ratio.at(level)
    return found


def table_of(times_by_label):
    """A table of one cell, judged as ``suites.judging.baseline`` does."""
    base = next(iter(times_by_label))
    beside_base = judged(times_by_label, base)
    ours = [label for label in times_by_label if label != "other system"]
    best = min(ours, key=lambda label: beside_base[label][0].value)
    beside_best = judged(times_by_label, best)
    rows = []
    for label, times in times_by_label.items():
        row = dict.fromkeys(columns(), math.nan) | dict.fromkeys(TEXT_COLUMNS, "")
        for kind, (ratio, told, ends) in (("e2e", beside_base[label]), ("best", beside_best[label])):
            row |= {f"{kind}_ratio": ratio.value, f"{kind}_ratio_low": ratio.low, f"{kind}_ratio_high": ratio.high}
            row |= {f"{kind}_verdict": told, f"{kind}_holm_low": ends[0], f"{kind}_holm_high": ends[1]}
        mine = label != "other system"
        total = sorted(times)[len(times) // 2]
        row |= {
            "cell": "a", "model": "tiny", "device": "cpu", "dtype": "fp32", "threads": 1, "batch_size": 2, "src_len": 8,
            "tgt_len": 8, "stop": "fixed", "seed": 0, "strategy": label, "status": "ok", "rounds": len(times),
            "execution": "compiled" if "compiled" in label else "eager" if mine else "", "baseline": base,
            "best_strategy": best, "e2e_beyond": math.nan if label == base else MARGIN, "tokens_equal": "yes",
            "e2e_s": total, "tpot_s": total / 8, "throughput_tokens_per_s": 16 / total, "prefill_s": total / 9,
            "kv_reserved_bytes": 4096.0 if mine else math.nan, "executed_flops": 1.0 if mine else math.nan,
            "copied_bytes": 0.0, "flops_waste": 1.0, "peak_memory_bytes": 9.0, "step_bytes": 1.0,
        }  # fmt: skip
        rows.append(row)
    return completed(pd.DataFrame(rows, columns=columns()))


@st.composite
def tables(draw):
    """Two to five arms with 2 to 8 rounds, whose speed and noise vary."""
    labels = draw(st.lists(st.sampled_from(LABELS[1:]), min_size=1, max_size=4, unique=True))
    count = draw(st.integers(2, 8))
    if set(labels) == {"other system"}:
        labels.append("static_kv")
    noise = draw(st.sampled_from([0.001, 0.05, 0.6]))
    times = {}
    for label in [LABELS[0], *labels]:
        speed = draw(st.sampled_from([0.1, 0.5, 0.98, 1.0, 1.005, 1.4]))
        spread = draw(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=count, max_size=count))
        times[label] = [speed * math.exp(noise * each) for each in spread]
    return table_of(times)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(tables())
def test_words_follow_from_the_verdict_and_intervals_do_not_contradict_them(table):
    for row in table.to_dict("records"):
        for kind in ("e2e", "best"):
            found = Compared.of(row, kind)
            told = {"faster": "x faster", "slower": "x slower", "indistinguishable": "about as fast"}
            assert (found.words == "the baseline") == (found.verdict == "baseline")
            for judgement, word in told.items():
                certain = word in found.words and not found.words.startswith(("probably", "cannot"))
                assert certain == (found.verdict == judgement)
            if found.verdict in ("faster", "slower"):
                assert not found.holm_low <= 1 <= found.holm_high
            within = found.holm_low <= 1 <= found.holm_high
            close = found.verdict == "undecided" and not within
            assert close == found.is_close == found.words.endswith("too close to call")
            if found.words.startswith(("cannot tell", "probably")):
                assert within


NO_STEPS = pd.DataFrame(columns=["cell", "strategy", "tgt_len", "src_len", "batch_size"])
CPUS = ["AMD EPYC", "Intel Xeon", "", f"A CPU {'of a very long name ' * 9}with 8 cores", '=1+1, "CPU"']


@settings(derandomize=True, deadline=None, max_examples=30)
@given(tables(), tables(), st.sampled_from(CPUS), st.sampled_from(CPUS))
def test_nothing_is_said_across_hardware(first, second, cpu, other):
    """Two cells on two kinds of CPU are told apart, each as if it were alone; a CPU that is not known is no kind."""
    places = [first.assign(cpu=cpu), second.assign(cell="b", batch_size=4, cpu=other)]
    table = pd.concat(places, ignore_index=True)
    decided, ranking, drawn = cards(table), list(rankings(table)), list(views(table, NO_STEPS, {}))
    headings = [title_of(rows, table) for rows in groups(table)]
    if cpu == other or "" in (cpu, other):
        assert len(decided) == len(headings) == len(drawn) == 1
        assert " on cpu, 1 thread, fp32" in headings[0]
        assert drawn[0].hardware == ""
        return
    names = [view.hardware for view in drawn]
    assert len({*names}) == len({view.suffix for view in drawn}) == 2
    assert max(map(len, names)) <= NAME_MAX + 4
    assert [{*view.table["cell"]} for view in drawn] == [{"a"}, {"b"}]
    for mine, name, alone, heading in zip(decided, names, places, headings, strict=True):
        assert [mine[0].replace(f" on {name}", "", 1), *mine[1:]] == card(alone, (), "")
        assert f" on {name}" in mine[0]
        assert f" on cpu, 1 thread, {name}, fp32" in heading
    titles = [str(one.title) for one in ranking]
    assert all(sum(name in title for name in names) == 1 for title in titles)
    assert all(any(name in title for title in titles) for name in names)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(tables())
def test_card_table_title_and_advice_say_the_same(table):
    lines = card(table, (), COMMAND)
    assert 1 <= len(lines) <= 3
    rows = table.to_dict("records")
    best = next(row for row in rows if row["strategy"] == row["best_strategy"])
    base = next(row for row in rows if row["strategy"] == row["baseline"])
    found, name = Compared.of(best), spoken(best["strategy"])
    found_all = [Compared.of(row, kind) for row in rows for kind in ("e2e", "best")]
    decided = any(one.is_decided or one.is_close for one in found_all)
    assert lines[0].startswith("Too noisy") != decided
    if decided:
        assert f"use {name}" in lines[0]
        if best is not base:
            told = "too close" if found.is_close else found.words.removeprefix("cannot tell: ").partition(" (")[0]
            assert told in lines[0]
        ties = [
            row for row in rows
            if is_strategy(row) and row["best_verdict"] in ("undecided", "indistinguishable") and row is not base
        ]  # fmt: skip
        assert all(spoken(row["strategy"]) in lines[0].partition(": ")[0] for row in ties)
    speed = dict(zip(table["strategy"], (ranked(row)[3] for row in rows), strict=True))[best["strategy"]]
    assert speed == "1x" if best is base else speed.startswith(found.speedup)
    assert best is base or (speed.endswith("?") != found.is_decided)
    (view,) = views(table, NO_STEPS, {})
    if best is not base:
        assert message(view).endswith(found.clause(name, spoken(base["strategy"])))
    which = advise(table)[0].sentences[0]
    assert which.partition(": ")[2].startswith(name)


QUIET = {"full_recompute": [4.0, 4.04, 3.98, 4.01], "static_kv": [1.0, 1.01, 1.0, 0.99]}


def test_a_quiet_run_is_answered_in_three_lines():
    lines = card(table_of(QUIET), (), "python -m suites run seq_len=8 measure=quick")
    assert re.fullmatch(r"At batch 2, 8 -> 8, use static_kv: 4x faster than full_recompute \[4, 4\.1\]\.", lines[0])
    assert lines[1].startswith("125 ms per token, 2.00 KiB of KV cache per sentence; certain.")
    assert lines[2] == (
        "Next, to see what a compiled step gains: python -m suites run seq_len=8 measure=quick execution=compiled"
    )


def test_a_native_step_is_one_call_and_need_not_be_compiled():
    *_, last = card(table_of(QUIET).assign(attention_ran="native"), (), "python -m suites run seq_len=8 linear=panel")
    assert last.startswith("Next, to see whether it holds at other lengths: python -m suites run")
    assert "compiled" not in last


def test_a_speedup_is_split_into_cache_and_execution():
    compiled = {"static_kv(execution=compiled,read=bucket)": [0.5, 0.5, 0.51, 0.5]}
    (first, *_, last) = card(table_of(QUIET | compiled), (), COMMAND)
    assert "use compiled static_kv: 8x faster than full_recompute" in first
    assert first.endswith("that is, 4x by the cache and 2x by compiling.")
    assert last == "Next, to see where a step spends its time: python -m suites profile model=tiny"


def test_where_nothing_is_decided_the_headline_says_so_and_why():
    noisy = {"full_recompute": [1.0, 3.0, 1.2], "static_kv": [2.0, 0.9, 1.1]}
    load = "other processes used 1.9 of 2 cores during the rounds: stop them"
    loaded = table_of(noisy).assign(disturbed_by="other load")
    first, _, last = card(loaded, [load], "python -m suites run seq_len=8 measure=quick")
    assert first == (
        "Too noisy to say which is fastest at batch 2, 8 -> 8: other processes used 1.9 of 2 cores during the rounds. "
        "Run again with measure=careful."
    )
    assert last == "Next: python -m suites run seq_len=8 measure=careful"
    elsewhere = "other processes used 3.9 of 4 cores during the rounds (in 1 of 2 cells): stop them"
    assert ": 3 rounds do not decide. " in card(table_of(noisy), [elsewhere], COMMAND)[0]
    of_both = elsewhere.replace("in 1 of 2 cells", "in 2 of 2 cells, the worst")
    assert ": other processes used up to 3.9 of 4 cores. " in card(loaded, [of_both], COMMAND)[0]


@pytest.mark.parametrize(
    ("loads", "told"),
    [
        ("", "At batch 2, 8 -> 8, 3 rounds do not decide yet which is fastest."),
        ("other load", "Too noisy to say which is fastest at batch 2, 8 -> 8: other processes used the CPU."),
    ],
)
def test_of_a_run_of_which_something_is_left_nothing_else_is_advised(loads, told):
    noisy = table_of({"full_recompute": [1.0, 3.0, 1.2], "static_kv": [2.0, 0.9, 1.1]}).assign(disturbed_by=loads)
    lines = card(noisy, (), COMMAND, is_open=True)
    assert lines[0] == told
    assert "python" not in " ".join([*lines, *card(table_of(QUIET), (), COMMAND, is_open=True)])
    assert card(table_of(QUIET), (), COMMAND, is_open=True) == card(table_of(QUIET), (), COMMAND)[:-1]


def test_a_warning_takes_the_place_of_the_next_command():
    slowed = ["the GPU was slowed down: heat (in 1 of 2 cells): cool it"]
    *_, last = card(table_of(QUIET).assign(disturbed_by="GPU throttling"), slowed, COMMAND)
    assert last == "Careful: the GPU was slowed down; advice.txt says what helps."


@pytest.mark.parametrize(
    "line",
    ["the GPU was slowed down: heat (in 1 of 2 cells): cool it", "the A/A arm was not measured: no room: see it"],
)
def test_a_warning_about_other_rows_or_no_times_leaves_the_next_command(line):
    *_, last = card(table_of(QUIET), [line], COMMAND)
    assert last.startswith("Next, ")


@pytest.mark.parametrize(
    ("speeds", "told"), [([10.0, 8.0], "read memory 1.25 times"), ([10.0, 10.0], "speed differed")]
)
def test_a_drift_is_told_with_its_figure_where_it_is_one_of_these_rows(speeds, told):
    cells = [
        table_of(QUIET).assign(cell=name, calibration_read_gb_per_s=speed, disturbed_by="drift of the machine")
        for name, speed in zip("ab", speeds, strict=True)
    ]
    drift = "the machine read memory 1.25 times as fast in one cell as in another: measure again"
    *_, last = card(pd.concat(cells, ignore_index=True), [drift], COMMAND)
    assert last.startswith("Careful: the machine")
    assert told in last


def test_a_faster_contender_is_named():
    _, second, _ = card(table_of(QUIET | {"other system": [0.5, 0.5, 0.5, 0.51]}), (), COMMAND)
    assert second.count("other system is 2x faster than it") == 1
    assert second.startswith("125 ms per token, 2.00 KiB of KV cache per sentence; certain; other system is 2x faster")


@pytest.mark.parametrize("slower", [{}, {"static_kv": [8.0, 8.1, 8.0, 7.9]}])
def test_a_contender_that_is_faster_than_the_baseline_is_told_once_and_for_certain(slower):
    times = {"full_recompute": QUIET["full_recompute"], **slower, "other system": [2.0, 2.01, 1.99, 2.0]}
    first, second, _ = card(table_of(times), (), COMMAND)
    assert first.endswith("no strategy is faster for certain." if slower else "the only strategy that was timed.")
    assert second.count("other system is 2x faster than it") == 1
    assert "not certain" not in second
    assert ("certain: static_kv is 2x slower than it" in second) == bool(slower)


def test_more_rounds_are_not_advised_for_what_is_too_close_to_call():
    close = {"static_kv": [1.0, 1.001, 1.0, 0.999], "contiguous_kv": [1.019, 1.021, 1.0195, 1.0195]}
    lines = card(table_of(close), (), COMMAND)
    assert "contiguous_kv is within 2 % of it: too close to call" in lines[1]
    assert not any("careful" in line or "Too noisy" in line or "not certain" in line for line in lines)


def test_a_target_of_one_token_has_no_time_per_token():
    table = table_of(QUIET).assign(tpot_s=math.nan)
    assert card(table, (), COMMAND)[1] == "2.00 KiB of KV cache per sentence; certain."
    assert "per token" not in "".join(card(table.assign(kv_reserved_bytes=0.0), (), COMMAND))


def test_with_beams_the_time_of_a_token_is_that_of_a_step_of_all_of_them():
    table = table_of(QUIET).assign(search="beam", num_beams=4)
    greedy, one, four = (card(each, (), COMMAND)[1] for each in (table_of(QUIET), table.assign(num_beams=1), table))
    assert one == greedy
    assert four == greedy.replace(" per token, ", " per token, that is, per step of all 4 beams, ")
    assert four != greedy


@pytest.mark.parametrize("labels", [["static_kv"], ["static_kv", "contiguous_kv"]])
def test_without_full_recompute_the_first_strategy_is_the_baseline(labels):
    times = {label: [1.0 + 0.5 * place, 1.01 + 0.5 * place, 0.99] for place, label in enumerate(labels)}
    lines = card(table_of(times), (), COMMAND)
    assert ("nothing to choose" in lines[0]) == (len(labels) == 1)


@pytest.mark.parametrize("command", ["", "python -m suites run 'seq_len=8"])
def test_a_command_that_is_not_known_or_damaged_is_that_of_run(command):
    *_, last = card(table_of(QUIET), (), command)
    assert last == "Next, to see what a compiled step gains: python -m suites run execution=compiled"
