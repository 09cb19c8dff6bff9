"""What an approximate strategy loses, measured before it is timed; and who judges it."""

import dataclasses
import math

import pytest
import torch

from strategies import ModelSpec, Session, load_model, parse
from strategies.full_recompute import FullRecompute
from strategies.search.options import Beam, Greedy, Sample
from suites.measuring.arms import StrategyArm
from suites.measuring.divergence import Divergence
from suites.measuring.equality import check
from suites.measuring.quality import beside
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.store.cell_folder import read_cells
from suites.store.files import read_json, write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.timing.clock import CpuClock

from .lossy import Harmless, Overflowing, Rounded, Window
from .one_cell import CELL, measure
from .planted import Losing
from .test_equality import CELL as MONOTONE

PRONOUNCE = Cell(ModelSpec("pronounce", "pronounce"), 24, 20, 2, "cpu", "fp32", 1, 0, "eos")
ENDING = dataclasses.replace(PRONOUNCE, tgt_len=30)
"""Long enough for every text to end, at different steps."""
LOSSLESS = {"kl_nats": 0, "kl_max_nats": 0, "top1_equal": 1, "sequences_equal": 1, "token_error": 0}


def figures(result):
    return {name: getattr(result, name) for name in LOSSLESS}


def test_the_divergence_of_two_steps_worked_out_by_hand():
    found = Divergence()
    even = torch.tensor([[0.0, 0.0]])
    one_to_four = torch.tensor([[1.0, 4.0]]).log()
    found.add(even, one_to_four)  # ln(5/4) = (ln(1/2 : 1/5) + ln(1/2 : 4/5)) / 2, and another choice
    found.add(one_to_four, one_to_four + 7)
    assert found.kl_nats == pytest.approx(math.log(5 / 4) / 2)
    assert found.kl_max_nats == pytest.approx(math.log(5 / 4))
    assert (found.top1_equal, found.rows) == (0.5, 2)
    assert found.max_error == 7


def test_edits_are_counted_over_the_exact_tokens_of_all_sentences():
    assert beside([[1, 2, 3, 9], [4, 9]], [[1, 3, 9], [4, 5, 9]]) == (0.0, 2 / 6)
    assert beside([[1, 9], [2, 9]], [[1, 9], [2, 9]]) == (1.0, 0.0)
    assert beside([[7, 7, 9]], [[]]) == (0.0, 1.0)


@pytest.mark.parametrize("search", [Greedy(), Beam(2), Sample()])
@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_one_that_loses_nothing_has_no_loss(search, stop, tmp_path):
    """Of the free output of random weights, which may be one token again and again, nothing is said."""
    cell = dataclasses.replace(CELL, search=search, stop=stop)
    result = measure([parse("static_kv"), Harmless()], tmp_path, cell)["harmless_kv"]
    assert (result.status, result.exact) == ("ok", False)
    assert figures(result) == pytest.approx(LOSSLESS | {"sequences_equal": None, "token_error": None}, abs=1e-9)


def test_the_loss_is_that_of_steps_fed_the_exact_choices(tmp_path):
    """Found once more without the code that measures it."""
    results = measure([parse("static_kv"), Rounded()], tmp_path, dataclasses.replace(ENDING, stop="fixed"))
    found = results["rounded_kv(levels=1)"]
    model = load_model(PRONOUNCE.model)
    inputs = make_inputs(PRONOUNCE, model.config)
    exact, lossy = (Session(model, kind, 2, 24, 30) for kind in (parse("static_kv"), Rounded()))
    token_B, nats, equal = torch.full((2,), model.config.start_id), [], []
    live_B, eos_ids = torch.ones(2, dtype=torch.bool), list(model.config.eos_ids)
    with torch.no_grad():
        for session in (exact, lossy):
            session.prefill(inputs.source, inputs.src_mask_BS)
        for _ in range(30):
            p_BV, q_BV = (session.step(token_B).clone() for session in (exact, lossy))
            nats += torch.nn.functional.kl_div(
                q_BV.log_softmax(-1), p_BV.log_softmax(-1), log_target=True, reduction="none"
            ).sum(-1)[live_B]
            equal += (p_BV.argmax(-1) == q_BV.argmax(-1))[live_B]
            live_B &= ~torch.isin(p_BV.argmax(-1), torch.tensor(eos_ids))
            p_BV[:, eos_ids] = -torch.inf
            token_B = p_BV.argmax(-1)
    assert not live_B.any()
    assert found.kl_nats == pytest.approx(float(torch.stack(nats).mean()), rel=1e-3)
    assert found.kl_max_nats == pytest.approx(float(torch.stack(nats).max()), rel=1e-3)
    assert found.top1_equal == pytest.approx(float(torch.stack(equal).float().mean()))
    assert found.kl_nats > 1e-4
    assert found.max_logit_error > 0.01


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_steps_after_the_end_of_a_sentence_do_not_count(stop):
    model = load_model(PRONOUNCE.model)
    cell = dataclasses.replace(ENDING, stop=stop)
    inputs = make_inputs(cell, model.config)
    judge, arm = (StrategyArm(kind, model, inputs, cell) for kind in (parse("static_kv"), Harmless()))
    (agreement,) = check(judge, [arm], "fp32", judge.search(), fixed=stop == "fixed", as_chosen=True)
    judge.decode(CpuClock(), stop="eos")
    lengths = judge.row_lens()
    assert len(set(lengths)) == 2
    assert max(lengths) < cell.tgt_len
    assert agreement.divergence.rows == sum(lengths)


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_beams_that_continue_an_ended_one_do_not_count(stop):
    model = load_model(PRONOUNCE.model)
    cell = dataclasses.replace(ENDING, stop=stop, search=Beam(2))
    inputs = make_inputs(cell, model.config)
    judge, arm = (StrategyArm(kind, model, inputs, cell) for kind in (parse("static_kv"), Harmless()))
    search = judge.search()
    steps, choose = [], search.choose
    search.choose = lambda logits_XV: steps.append(logits_XV.argmax(-1)) or choose(logits_XV)
    (agreement,) = check(judge, [arm], "fp32", search, fixed=stop == "fixed", as_chosen=True)
    assert any(torch.isin(token_X, torch.tensor(model.config.eos_ids)).any() for token_X in steps[:-1])
    assert agreement.divergence.rows < len(steps) * 4


@pytest.mark.parametrize("search", [Greedy(), Beam(2)])
def test_a_text_that_trained_weights_end_is_judged_alike_whether_or_not_decoding_goes_on(search, tmp_path):
    cells = [dataclasses.replace(ENDING, stop=stop, search=search) for stop in ("eos", "fixed")]
    ended, fixed = (
        measure([parse("static_kv"), Window(window=2)], tmp_path / cell.stop, cell)["window_kv"] for cell in cells
    )
    assert 0 < ended.token_error
    assert (fixed.sequences_equal, fixed.token_error) == (ended.sequences_equal, ended.token_error)
    assert max(fixed.row_lens) == ENDING.tgt_len


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_one_that_ends_after_other_steps_than_the_judge_has_a_remark(stop, tmp_path):
    cell = dataclasses.replace(ENDING, tgt_len=40, stop=stop)
    results = measure([parse("static_kv"), Window(window=2), Harmless()], tmp_path, cell)
    exact, window = results["static_kv"], results["window_kv"]
    assert (exact.reason, results["harmless_kv"].reason) == ("", "")
    told = f"decodes {window.steps} steps freely, an exact strategy {exact.steps}"
    assert window.reason == (told if stop == "eos" else "")
    assert (window.steps != exact.steps) == (stop == "eos")


def test_the_rows_of_a_model_that_chooses_one_token_differ(tmp_path):
    """Where all rows of K and V are alike, a window would lose nothing."""
    cell = dataclasses.replace(MONOTONE, tgt_len=16)
    assert measure([parse("static_kv"), Window()], tmp_path, cell)["window_kv"].kl_nats > 1e-7


def test_approximate_strategies_alone_are_judged_by_full_recompute(tmp_path):
    (result,) = measure([Rounded()], tmp_path).values()
    assert (result.status, result.reason, result.exact) == ("ok", "", False)
    assert result.kl_nats > 0


@pytest.mark.parametrize("others", [[], ["static_kv"]])
def test_where_full_recompute_fails_the_next_exact_strategy_judges(others, tmp_path, monkeypatch):
    usual = Session.step

    def fails(session, token_B):
        if isinstance(session.strategy, FullRecompute):
            raise RuntimeError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", fails)
    result = measure([Rounded(), *map(parse, others)], tmp_path)["rounded_kv(levels=1)"]
    assert result.status == "ok"
    assert result.reason.startswith("compared with the logits of static_kv, as full_recompute failed: ")
    assert result.kl_nats > 0


def test_without_any_exact_strategy_that_runs_the_reason_is_told(tmp_path, monkeypatch):
    usual = Session.step

    def fails(session, token_B):
        if session.strategy.exact:
            raise RuntimeError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", fails)
    (result,) = measure([Rounded()], tmp_path).values()
    assert result.status == "failed"
    assert result.reason.startswith("no exact strategy could judge it: full_recompute failed: RuntimeError: no room")
    assert "; static_kv failed: RuntimeError: no room" in result.reason
    assert result.reason.endswith("; add an exact one that has room")


def fails_as_judge(labels, monkeypatch):
    """Let these strategies fail where they judge approximate ones, after they were found equal."""
    usual = StrategyArm.decode

    def fails(arm, *args, **options):
        if arm.label in labels:
            raise RuntimeError(f"{arm.label} has no room to judge")
        return usual(arm, *args, **options)

    monkeypatch.setattr(StrategyArm, "decode", fails)


def test_an_exact_strategy_that_fails_while_it_judges_is_not_timed_and_is_named(tmp_path, monkeypatch):
    fails_as_judge({"static_kv"}, monkeypatch)
    monkeypatch.setattr(StrategyArm, "round", lambda arm, *args: pytest.fail(f"{arm.label} is timed"))
    results = measure([parse("static_kv"), Harmless()], tmp_path)
    assert {result.status for result in results.values()} == {"failed"}
    assert results["static_kv"].reason.startswith("RuntimeError: static_kv has no room to judge")
    reason = results["harmless_kv"].reason
    assert reason.startswith("no exact strategy could judge it: static_kv failed: RuntimeError: static_kv has no room")
    assert "judged_by" not in read_json(tmp_path / "cells" / CELL.id / "cell.json")


@pytest.mark.parametrize(("failing", "judge"), [(set(), "static_kv"), ({"static_kv"}, "contiguous_kv")])
def test_the_cell_says_by_which_exact_strategy_the_others_were_judged(failing, judge, tmp_path, monkeypatch):
    fails_as_judge(failing, monkeypatch)
    results = measure([parse("static_kv"), parse("contiguous_kv"), Harmless()], tmp_path)
    assert results["harmless_kv"].status == "ok"
    assert read_json(tmp_path / "cells" / CELL.id / "cell.json")["judged_by"] == judge


def test_logits_that_are_not_finite_are_invalid_and_the_others_go_on(tmp_path):
    results = measure([parse("static_kv"), Overflowing(), Harmless()], tmp_path)
    told = {label: (result.status, result.reason) for label, result in results.items()}
    assert told["overflowing_kv"] == ("invalid", "step 3: logits of row 0 are not finite")
    assert told["harmless_kv"] == told["static_kv"] == ("ok", "")


def test_a_lossy_one_that_says_it_is_exact_is_invalid_and_told_what_to_declare(tmp_path):
    result = measure([parse("static_kv"), Losing()], tmp_path)["losing"]
    assert (result.status, result.exact, result.kl_nats) == ("invalid", True, None)
    assert result.reason.startswith("step 4: logits of row")
    assert result.reason.endswith("; mend it, or declare exact = False if it is meant to be approximate")


def test_in_low_precision_it_need_not_be_near_float32(tmp_path):
    results = measure([parse("static_kv"), Rounded()], tmp_path, dataclasses.replace(CELL, dtype="bf16"))
    assert results["rounded_kv(levels=1)"].status == "ok"
    assert results["rounded_kv(levels=1)"].fp32_error_ratio is None
    assert results["static_kv"].fp32_error_ratio is not None


def test_the_baseline_and_the_fastest_are_exact_and_the_columns_say_what_is_not(tmp_path):
    measure([Harmless(), Window(), parse("static_kv")], tmp_path)
    write_json(tmp_path / "run.json", {"schema": SCHEMA, "plan": [{"id": CELL.id}]})
    (done,) = read_cells(tmp_path)
    table = case_table([done]).set_index("strategy")
    assert set(table["baseline"]) == set(table["best_strategy"]) == {"static_kv"}
    assert table["exact"].to_dict() == {"harmless_kv": 0, "window_kv": 0, "static_kv": 1}
    assert table.loc["static_kv", ["choices", "kl_nats", "top1_equal"]].isna().all()
    assert table.loc["harmless_kv", "choices"] == CELL.tgt_len * CELL.batch_size
    assert table.loc["harmless_kv", "top1_equal"] == 1
    assert table.loc["static_kv", "e2e_vs_best"] == 1

    alone = dataclasses.replace(done, arms=[arm for arm in done.arms if arm.exact is False])
    told = case_table([alone])
    assert set(told["baseline"]) == {"harmless_kv"}
    assert set(told["best_strategy"]) <= {"harmless_kv", "window_kv"}
