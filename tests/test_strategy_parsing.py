"""Strategies by name: what is read, what is refused, and how the refusal helps."""

import pytest

from strategies import StrategyError, parse, registry, select
from strategies.full_recompute import FullRecompute
from strategies.parsing import options_of
from strategies.static_kv import StaticKV

CORE = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]


def refusal(call, *arguments) -> str:
    with pytest.raises(StrategyError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("static_kv", StaticKV()),
        ("static_kv()", StaticKV()),
        ("  static_kv ( capacity = 512 , read = buffer )  ", StaticKV(capacity=512, read="buffer")),
        ("static_kv(capacity=none,cross=recompute,)", StaticKV(cross="recompute")),
        ("cross_kv", FullRecompute(cross="cached")),
        ("cross_kv(cross=recompute)", FullRecompute()),
    ],
)
def test_a_name_with_options_is_read_as_the_strategy(text, strategy):
    assert parse(text) == strategy
    assert type(parse(text)) is type(strategy)


@pytest.mark.parametrize(
    ("strategy", "label"),
    [
        (StaticKV(), "static_kv"),
        (StaticKV(capacity=9, cross="recompute"), "static_kv(cross=recompute,capacity=9)"),
        (FullRecompute(), "full_recompute"),
        (FullRecompute(cross="cached"), "cross_kv"),
    ],
)
def test_a_label_is_the_shortest_text_that_names_the_strategy(strategy, label):
    assert strategy.label == label


def test_an_unknown_name_is_answered_with_the_near_and_the_known_ones():
    known = f"known: {', '.join(registry())}"
    assert refusal(parse, "statik_kv") == f"unknown strategy 'statik_kv'; did you mean 'static_kv'? {known}"
    assert refusal(parse, "xyz") == f"unknown strategy 'xyz'; {known}"


def test_an_unknown_option_is_answered_with_the_near_and_the_known_ones():
    known = "known: cross, execution, cross_beams, capacity, read, reorder"
    assert (
        refusal(parse, "static_kv(capasity=3)")
        == f"unknown option 'capasity' of static_kv; did you mean 'capacity'? {known}"
    )
    assert refusal(parse, "static_kv(window=3)") == f"unknown option 'window' of static_kv; {known}"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("static_kv(capacity=many)", "capacity takes a whole number, default None"),
        ("static_kv(capacity=1.5)", "capacity takes a whole number, default None"),
        ("static_kv(read=all)", "read takes filled|buffer|bucket, default filled"),
        ("static_kv(read=)", "read takes filled|buffer|bucket, default filled"),
        ("full_recompute(cross=maybe)", "cross takes cached|recompute, default recompute"),
    ],
)
def test_a_value_that_is_not_allowed_is_answered_with_those_that_are(text, allowed):
    name, option = text.removesuffix(")").split("(")
    assert refusal(parse, text) == f"{name}: {option} is not allowed; {allowed}"


@pytest.mark.parametrize("text", ["", "static_kv(", "static_kv)", "static-kv", "static_kv(read=filled)x", "()"])
def test_what_is_no_name_with_options_is_answered_with_the_form(text):
    assert refusal(parse, text) == f"cannot read strategy {text!r}; write a name, or name(option=value,...)"


def test_an_option_needs_a_value_and_only_one():
    assert refusal(parse, "static_kv(16)") == "cannot read '16' in 'static_kv(16)'; write option=value"
    twice = "static_kv(capacity=8,capacity=9)"
    assert refusal(parse, twice) == f"option 'capacity' is given twice in {twice!r}; give it once"


def test_a_capacity_below_one_or_below_the_target_is_refused():
    assert "capacity=0 is not allowed; give at least 1" in refusal(parse, "static_kv(capacity=0)")
    message = refusal(parse("static_kv(capacity=8)").bind, 9)
    assert "capacity=8 cannot hold a target of 9 tokens; give capacity=9 or more" in message
    assert parse("static_kv(capacity=8)").bind(8) == StaticKV(capacity=8)


def test_options_are_told_with_what_they_take_and_their_default():
    assert options_of(StaticKV) == {
        "cross": "cached|recompute, default cached",
        "execution": "eager|compiled|graph, default eager",
        "cross_beams": "shared|expanded|expanded_once, default shared",
        "capacity": "a whole number, default None",
        "read": "filled|buffer|bucket, default filled",
        "reorder": "copy|table, default copy",
    }


def test_the_registry_begins_with_the_core_four_and_sums_each_up_in_a_line():
    assert list(registry())[:4] == CORE
    assert all(entry.summary.endswith(".") and "\n" not in entry.summary for entry in registry().values())


def test_core_is_the_four_of_the_registry_and_all_is_every_one():
    assert [strategy.label for strategy in select("core")] == CORE
    assert [strategy.label for strategy in select("all")] == list(registry())


def test_grid_is_every_self_attention_store_with_both_cross_modes():
    assert [strategy.label for strategy in select("grid")] == [
        "full_recompute",
        "cross_kv",
        "contiguous_kv(cross=recompute)",
        "contiguous_kv",
        "static_kv(cross=recompute)",
        "static_kv",
    ]


@pytest.mark.parametrize(
    "chosen",
    [
        ["full_recompute", "static_kv(capacity=512,read=buffer)"],
        ("full_recompute", {"static_kv": {"capacity": 512, "read": "buffer"}}),
        [{"full_recompute": None, "static_kv": {"read": "buffer", "capacity": 512}}],
    ],
)
def test_a_list_holds_texts_or_entries_with_options(chosen):
    assert select(chosen) == [FullRecompute(), StaticKV(capacity=512, read="buffer")]


def test_one_text_is_a_list_of_one():
    assert select("static_kv(capacity=4)") == [StaticKV(capacity=4)]


def test_what_is_the_same_strategy_is_kept_once_and_in_order():
    chosen = ["static_kv", "cross_kv", "static_kv(read=filled)", "full_recompute(cross=cached)", {"static_kv": {}}]
    assert select(chosen) == [StaticKV(), FullRecompute(cross="cached")]


def test_an_empty_list_is_answered_with_what_can_be_given():
    assert refusal(select, []) == "strategies=[] names none; give core, grid, all or a list of names"


@pytest.mark.parametrize("item", [3, None, ["static_kv"], {"static_kv": 512}])
def test_an_item_that_is_no_text_and_no_entry_is_answered_with_the_forms(item):
    expected = f"cannot read strategy {item!r}; write name, name(option=value,...) or {{name: {{option: value}}}}"
    assert refusal(select, [item]) == expected


def test_a_mistake_in_a_list_is_told_as_it_is_alone():
    assert refusal(select, ["core"]).startswith("unknown strategy 'core'; ")
    assert refusal(select, [{"static_kv": {"read": "all"}}]) == refusal(parse, "static_kv(read=all)")
