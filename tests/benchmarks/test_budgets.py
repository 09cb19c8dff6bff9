"""Deterministic budgets: each strategy's work is that of the reviewed file, to the digit, on any machine."""

import tomllib
from dataclasses import replace

import pytest
import torch

from strategies import parse
from strategies.search.options import Beam, Greedy
from suites.guarding.budget_file import BudgetError, UnknownVersionError, of_this_torch, read, text
from suites.guarding.budgets import Budget, count, guard, rewrite
from suites.probes import Work, WorkCounter

from . import budgets
from .budgets import FILE, Guarded, guarded, measured

WORK = Work(100, 200, 30, 20, 4_000, 0, {"self_attn.qkv": 2, "lm_head": 1})
BUDGET = Budget({"prefill": WORK, "step 4": replace(WORK, products={})}, peak_bytes=900)


@pytest.fixture
def reviewed():
    """The reviewed figures of this torch; skipped, with the line that adds them, where there are none."""
    try:
        return of_this_torch(FILE)
    except UnknownVersionError as unknown:
        pytest.skip(str(unknown))


@pytest.fixture
def file(tmp_path):
    """A file that holds ``BUDGET``."""
    rewrite(tmp_path / "budgets.toml", {"mine": BUDGET})
    return tmp_path / "budgets.toml"


@pytest.mark.parametrize("one", guarded(), ids=lambda one: one.name)
def test_the_work_of_a_round_is_what_was_reviewed(one, reviewed):
    guard(FILE, measured(one))


@pytest.mark.parametrize("one", [g for g in guarded() if g.search != Greedy()], ids=lambda one: one.name)
def test_no_step_of_a_search_of_fixed_length_waits_for_a_value(one):
    """At any step: the file holds some of them."""
    arm = one.arm()
    with WorkCounter(arm.session.model) as counter:
        arm.round(0, False, counter)
    prefill, *steps = counter.work()
    assert [work.synchronisations for work in (prefill, *steps)] == [0] * 13
    assert all(work.operators for work in steps)


def test_a_search_that_may_end_waits_once_a_step():
    arm = Guarded("t5", parse("static_kv"), Beam(num_beams=4)).arm(stop="eos")
    with WorkCounter(arm.session.model) as counter:
        arm.round(0, False, counter)
    _, *steps, last = counter.work()
    assert {work.synchronisations for work in steps} == {1}
    assert last.synchronisations <= 1


def test_the_file_holds_what_is_guarded_and_nothing_else(reviewed):
    assert set(reviewed) == {one.name for one in guarded()}
    assert len(reviewed) == len(guarded())


@pytest.mark.parametrize("label", ["full_recompute", "contiguous_kv", "static_kv"])
def test_beams_that_share_their_sentences_source_move_fewer_bytes(label, reviewed):
    shared, expanded = (reviewed[f"t5 {label}{rest} beam 4"] for rest in ("", "(cross_beams=expanded)"))
    assert all(few < many for few, many in zip(shared["moved_bytes"], expanded["moved_bytes"], strict=True))


def test_the_file_is_laid_out_as_it_would_be_written():
    """So that the next diff holds figures alone."""
    assert FILE.read_text() == text(read(FILE))


def test_figures_depend_neither_on_threads_nor_on_what_ran_before():
    one = Guarded("t5", parse("static_kv"))
    first = measured(one)
    torch.set_num_threads(2)
    try:
        assert measured(one) == first
    finally:
        torch.set_num_threads(1)


def test_a_figure_that_grew_is_named_with_its_stage_and_the_remedy(file):
    more = replace(BUDGET.stages["step 4"], allocations=21, products={"cross_attn.kv": 2})
    with pytest.raises(BudgetError) as raised:
        guard(file, {"mine": replace(BUDGET, stages={**BUDGET.stages, "step 4": more})})
    allocations, products, remedy = str(raised.value).splitlines()
    assert allocations == "mine: allocations grew: step 4 20 -> 21 (+1)"
    assert products == "mine: products cross_attn.kv grew: step 4 0 -> 2 (+2)"
    assert "mend it" in remedy
    assert "make budgets" in remedy


def test_a_figure_that_shrank_fails_too_and_is_called_an_improvement(file):
    less = {stage: replace(work, products={"lm_head": 1}) for stage, work in BUDGET.stages.items()}
    with pytest.raises(BudgetError) as raised:
        guard(file, {"mine": Budget({**less, "step 4": WORK}, peak_bytes=800)})
    assert str(raised.value).count("grew") == 2, "products of step 4"
    less["step 4"] = replace(less["step 4"], products={})
    with pytest.raises(BudgetError) as raised:
        guard(file, {"mine": Budget(less, peak_bytes=800)})
    assert str(raised.value).splitlines() == [
        "mine: peak_bytes shrank: round 900 -> 800 (-100)",
        "mine: products self_attn.qkv shrank: prefill 2 -> 0 (-2)",
        "improved: run make budgets to keep it",
    ]


def test_equal_figures_pass_and_a_name_that_is_not_in_the_file_does_not(file):
    guard(file, {"mine": BUDGET})
    with pytest.raises(BudgetError, match=r"yours: not in budgets\.toml"):
        guard(file, {"mine": BUDGET, "yours": BUDGET})
    with pytest.raises(BudgetError, match="stages were"):
        guard(file, {"mine": Budget({"prefill": WORK}, peak_bytes=900)})


def test_an_unknown_version_is_answered_with_the_line_that_adds_it(file, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "7.1.0")
    with pytest.raises(UnknownVersionError) as raised:
        guard(file, {"mine": BUDGET})
    (known,) = read(file)
    assert str(raised.value) == f"budgets.toml holds no budgets for torch 7.1 ({known}); add: make budgets"


def test_rewriting_leaves_other_versions_and_changes_one_line_a_figure(file, monkeypatch):
    before = file.read_text()
    monkeypatch.setattr(torch, "__version__", "7.1.0")
    rewrite(file, {"mine": BUDGET})
    assert file.read_text().startswith(before)
    monkeypatch.undo()
    rewrite(file, {"mine": replace(BUDGET, peak_bytes=1_000_000)})
    changed = set(before.splitlines()) ^ set(file.read_text().split('\n["7.1"')[0].splitlines())
    assert sorted(line.partition(" ")[0] for line in changed) == ["peak_bytes", "peak_bytes"]
    assert tomllib.loads(file.read_text())["7.1"]["mine"]["at"] == ["prefill", "step 4"]


CONFLICT = "<<<<<<< HEAD\n"
DAMAGE = {
    "a conflict": (lambda content: content.replace("flops", f"{CONFLICT}flops", 1), r"at line 6, column 1"),
    "a table twice": (lambda content: content + content, r"at line \d+, column \d+"),
    "no stages": (lambda content: content.replace("\nat ", "\n# ", 1), r", mine: no list of stages `at`"),
    "a value too few": (
        lambda content: content.replace(", 200]", "]").replace("200, ", "", 1),
        r", mine: moved_bytes = ",
    ),
    "a word": (lambda content: content.replace("900", '"900"'), r", mine: peak_bytes = '900' is not a whole number"),
    "no table": (lambda content: f"mine = 3\n{content}", r"mine: 3 is no table"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_one_line_with_the_place_and_the_remedy_and_is_left_as_it_is(kind, file):
    damage, place = DAMAGE[kind]
    file.write_text(damage(file.read_text()))
    before = file.read_text()
    remedy = r"; resolve the conflict, or delete the version's table and run make it$"
    with pytest.raises(BudgetError, match=rf"^.*budgets\.toml is damaged \(.*{place}.*\){remedy}"):
        guard(file, {"mine": BUDGET}, remedy="make it")
    with pytest.raises(BudgetError, match=r"^[^\n]*$"):
        rewrite(file, {"mine": BUDGET})
    assert file.read_text() == before


def test_make_budgets_tells_a_damaged_file_in_one_line_before_it_measures(file, monkeypatch):
    file.write_text(CONFLICT + file.read_text())
    monkeypatch.setattr(budgets, "FILE", file)
    with pytest.raises(SystemExit, match=r"^budgets: .*budgets\.toml is damaged \(.*at line 1, .*\); resolve [^\n]*$"):
        budgets.main()


def test_a_rewrite_that_is_interrupted_leaves_the_file_whole(file, monkeypatch):
    before = file.read_text()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rewrite(file, {"mine": replace(BUDGET, peak_bytes=1)})
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


def test_any_decoder_is_counted_at_its_first_and_last_step_after_a_warm_up():
    model = torch.nn.Linear(4, 4)
    calls = []

    def decode(rows):
        calls.append(model(torch.ones(10, 4)) if not calls else None)
        for length in range(1, rows + 1):
            yield model(torch.ones(length, 4))

    assert count(model, decode, 3).entry()["flops"] == [32, 96]
    assert len(calls) == 2
    assert count(model, decode, 1).entry()["flops"] == [32, 32]
    with pytest.raises(ValueError, match="yielded nothing"):
        count(model, decode, 0)
