"""The keys of ``search.*``: which cells they make, what has no effect, and how a cell is written and read back."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from strategies import ModelConfig, parse
from strategies.search.options import SEARCHES, Beam, Greedy, Sample
from suites.contenders.running.child import cell_of
from suites.jobs.planned import planned
from suites.settings.catalog import group, mapping_of
from suites.settings.cells import make_cell
from suites.settings.config import ConfigError, RunConfig
from suites.settings.obstacles import obstacle, why_skipped
from suites.settings.overrides import compose_jobs, read_overrides
from suites.settings.search import SearchConfig, search_of

CONFIG = ModelConfig(9, 4, 1, 4, 4, 1, 1)
EOS = "measure.stop=eos"
SEARCH = st.one_of(
    st.just(Greedy()),
    st.builds(
        Beam,
        st.integers(1, 64),
        st.floats(-10, 10),
        st.sampled_from(["true", "false", "never"]),
        st.just(1),
    ),
    st.builds(Sample, st.floats(0.001, 1000), st.integers(0, 1000), st.floats(0, 1, exclude_min=True)),
)


def jobs(*arguments):
    return compose_jobs(read_overrides(list(arguments)))


def cells(*arguments):
    return [make_cell(job.config) for job in jobs("model=tiny", "device=cpu", "threads=2", *arguments)]


def searches(*arguments):
    return [cell.search for cell in cells(*arguments)]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [Greedy()]),
        (["search=beam"], [Beam()]),
        (["search=sample"], [Sample()]),
        (["search=greedy,beam"], [Greedy(), Beam()]),
        (["search=beam", "search.num_beams=1,8"], [Beam(1), Beam(8)]),
        (["search.kind=beam"], [Beam()]),
        (["+sweep=num_beams"], [Beam(1), Beam(2), Beam(4), Beam(8)]),
        (["+sweep=num_beams", "search.num_beams=3"], [Beam(3)]),
        (["search=beam", "search.length_penalty=-1,2"], [Beam(length_penalty=-1.0), Beam(length_penalty=2.0)]),
        (["search=beam", EOS, "search.early_stopping=true,false"], [Beam(early_stopping="true"), Beam()]),
        (["search=beam", EOS, "search.early_stopping=never"], [Beam(early_stopping="never")]),
        (["search=beam", "search.num_return=4"], [Beam(num_return=4)]),
        (
            ["search=sample", "search.temperature=0.5", "search.top_k=50", "search.top_p=0.9"],
            [Sample(0.5, 50, 0.9)],
        ),
        (["search=beam,sample", "search.top_k=5"], [Beam(), Sample(top_k=5)]),
    ],
    ids=lambda value: " ".join(map(str, value))[:50],
)
def test_the_keys_make_the_search_of_each_cell(arguments, expected):
    assert searches(*arguments) == expected


def test_each_search_has_a_file_whose_values_are_its_defaults():
    assert set(group("search")) == set(SEARCHES)
    for name, search in SEARCHES.items():
        assert search_of(SearchConfig(**mapping_of("search", name))) == search()


def test_every_option_of_a_search_is_a_key_with_the_same_default():
    keys = {field.name: getattr(SearchConfig(), field.name) for field in dataclasses.fields(SearchConfig)}
    for search in SEARCHES.values():
        for field in dataclasses.fields(search):
            assert field.name in keys
            if field.init:
                assert str(keys.pop(field.name)).lower() == str(field.default)
    assert list(keys) == ["kind"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["search.num_beams=8"],
            "search.num_beams=8 has no effect with search=greedy; add search=beam, or leave it out",
        ),
        (["search.top_k=8"], "has no effect with search=greedy; add search=sample, or leave it out"),
        (["search=beam", "search.top_k=8"], "has no effect with search=beam; add search=sample, or leave it out"),
        (["search=sample", "search.num_return=1"], "has no effect with search=sample; add search=beam"),
        (
            ["search=beam", "search.early_stopping=true"],
            "has no effect with measure.stop=fixed, where no sequence ends early; add measure.stop=eos",
        ),
        (["+sweep=num_beams", "search=greedy"], "+sweep=num_beams: search.num_beams has no effect with search=greedy"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_key_that_changes_nothing_is_refused(arguments, told):
    with pytest.raises(ConfigError) as refused:
        cells(*arguments)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("search", "key", "value", "allowed"),
    [
        ("beam", "num_beams", "0", "give a whole number of at least 1"),
        ("beam", "num_beams", "2.5", "give a whole number of at least 1"),
        ("beam", "num_return", "0", "give a whole number of at least 1"),
        ("beam", "length_penalty", "long", "give a number from -10 to 10"),
        ("beam", "length_penalty", "nan", "give a number from -10 to 10"),
        ("beam", "length_penalty", "11", "give a number from -10 to 10"),
        ("beam", "early_stopping", "maybe", "give one of true, false, never"),
        ("sample", "temperature", "0", "give a number from 0.001 to 1000, or search=greedy for the most likely token"),
        ("sample", "top_k", "-1", "give a whole number of at least 0"),
        ("sample", "top_p", "2", "give a share above 0 and at most 1"),
        ("sample", "top_p", "0", "give a share above 0 and at most 1"),
    ],
)
def test_a_value_that_no_search_could_have_gets_one_line(search, key, value, allowed):
    with pytest.raises(ConfigError) as refused:
        cells(f"search={search}", EOS, f"search.{key}={value}")
    assert str(refused.value).startswith(f"search.{key}={value} is not allowed; {allowed}")
    with pytest.raises(ConfigError, match=r"is not allowed"):
        make_cell(RunConfig(search=SearchConfig(search, **{key: value})))


def test_no_more_sequences_are_returned_than_there_are_beams():
    told = "search.num_return=5 is above search.num_beams=4; give at most 4, or more beams"
    with pytest.raises(ConfigError) as refused:
        cells("search=beam", "search.num_return=5")
    assert str(refused.value) == told
    assert searches("search=beam", "search.num_return=5", "search.num_beams=5") == [Beam(5, num_return=5)]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("search=bean", "unknown search 'bean'; did you mean 'beam'? known: beam, greedy, sample"),
        ("num_beams=2", "unknown key 'num_beams' in 'num_beams=2'; did you mean 'search.num_beams'?"),
        ("search.beams=2", "unknown key 'search.beams' in 'search.beams=2'; did you mean 'search.num_beams'?"),
    ],
)
def test_a_name_that_is_not_known_brings_one_that_is(argument, told):
    with pytest.raises(ConfigError) as refused:
        cells(argument)
    assert str(refused.value).startswith(told)


def test_ids_and_titles_tell_searches_apart_and_those_of_greedy_cells_are_as_before():
    greedy, beam, wide, long, sample = (
        cells("seq_len=16", *more)[0]
        for more in (
            ["search=greedy"],
            ["search=beam"],
            ["search=beam", "search.num_beams=8"],
            ["search=beam", "search.length_penalty=2"],
            ["search=sample"],
        )
    )
    assert greedy.id == dataclasses.replace(beam, search=Greedy()).id == cells("seq_len=16")[0].id
    assert [cell.id.rpartition("_")[0] for cell in (greedy, beam, wide, long, sample)] == [
        "t5-tiny_b1_s16_t16_cpu_fp32",
        "t5-tiny_b1_beam4_s16_t16_cpu_fp32",
        "t5-tiny_b1_beam8_s16_t16_cpu_fp32",
        "t5-tiny_b1_beam4_s16_t16_cpu_fp32",
        "t5-tiny_b1_sample_s16_t16_cpu_fp32",
    ]
    assert len({cell.id for cell in (greedy, beam, wide, long, sample)}) == 5
    assert [cell.title.removeprefix("t5-tiny cpu ") for cell in (greedy, beam, long, sample)] == [
        "batch 1, 16 -> 16 tokens",
        "search=beam batch 1, 4 beams, 16 -> 16 tokens",
        "search=beam(length_penalty=2.0) batch 1, 4 beams, 16 -> 16 tokens",
        "search=sample batch 1, 16 -> 16 tokens",
    ]


@given(SEARCH)
def test_a_cell_is_read_back_as_it_was_written(search):
    cell = dataclasses.replace(CELL, search=search)
    assert cell_of(json.loads(json.dumps(dataclasses.asdict(cell)))) == cell


def test_a_cell_of_a_version_without_searches_is_greedy():
    written = json.loads(json.dumps(dataclasses.asdict(CELL)))
    del written["search"]
    assert cell_of(written) == CELL


def test_two_jobs_of_greedy_search_that_differ_in_beams_alone_are_one_cell():
    with pytest.raises(ConfigError, match="two jobs of this sweep would measure the same cell"):
        planned(jobs("model=tiny", "search=greedy,beam", "search.num_beams=2,4"))


def test_rows_of_the_decoder_are_beams_of_every_sentence():
    (cell,) = cells("search=beam", "search.num_beams=3", "batch_size=2", "src_len=50", "tgt_len=10")
    assert (cell.beams, cell.rows, cell.rows_max(CONFIG)) == (3, 6, 2 * 50)
    assert cells("search=beam", "batch_size=2", "src_len=10", "tgt_len=10")[0].rows_max(CONFIG) == 2 * 4 * 10
    prefixed = dataclasses.replace(CONFIG, prefix_ids=(3, 4))
    assert dataclasses.replace(cell, src_len=1).rows_max(prefixed) == 2 * 3 * (cell.tgt_len + 2)
    assert [(one.beams, one.rows) for one in cells("search=greedy,sample", "batch_size=2")] == [(1, 2), (1, 2)]


def test_what_serves_one_row_alone_serves_one_beam_alone(monkeypatch):
    strategies = [parse("static_kv(execution=compiled,read=bucket)")]
    found = [obstacle(cell, strategies) for cell in cells("linear=fused", "search=beam", "search.num_beams=1,4")]
    assert found == ["", "linear=fused has no effect with search.num_beams=4; give search=greedy, or leave linear out"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    (cell,) = (make_cell(job.config) for job in jobs("device=cuda", "search=beam", "weights=int8"))
    assert obstacle(cell).startswith("weights=int8 is not allowed with batch_size=1 and search.num_beams=4 on CUDA")


EXPANDED = "static_kv(cross_beams=expanded)"


def test_an_option_of_several_beams_is_refused_where_no_cell_has_several():
    asked = f"strategies=[static_kv,'{EXPANDED}']"
    for arguments in ([], ["search=sample"], ["search=beam", "search.num_beams=1"]):
        with pytest.raises(ConfigError) as refused:
            planned(jobs("model=tiny", asked, *arguments))
        assert str(refused.value) == (
            f"{EXPANDED}: cross_beams=expanded has no effect where a sentence has one beam; add search=beam, with "
            "search.num_beams=2 or more, or leave it out"
        )
    with pytest.raises(ConfigError, match="reorder=table has no effect where a sentence has one beam"):
        planned(jobs("model=tiny", "strategies=['static_kv(read=buffer,reorder=table)']"))
    assert planned(jobs("model=tiny", asked, "search=beam"))


def test_a_cell_of_one_beam_leaves_out_what_serves_several():
    (one, two) = cells("search=beam", "search.num_beams=1,2")
    plain, expanded = parse("static_kv"), parse(EXPANDED)
    reason = "cross_beams=expanded changes nothing where a sentence has one beam"
    assert [why_skipped(cell, arm) for cell in (one, two) for arm in (plain, expanded)] == ["", reason, "", ""]
    assert obstacle(one, [plain, expanded]) == obstacle(two, [expanded]) == ""
    assert obstacle(one, [expanded]) == f"{EXPANDED}: {reason}; leave it out"


def test_copies_that_are_reordered_are_skipped_where_a_step_is_to_be_captured():
    cell = dataclasses.replace(CELL, search=Beam(2), device="cuda")
    made = {
        name: parse(f"static_kv(read=buffer,execution=graph,cross_beams={name})") for name in ("expanded", "shared")
    }
    assert [why_skipped(cell, made[name]) for name in made] == [
        "execution=graph reads the same addresses at each step, and cross_beams=expanded moves K/V",
        "",
    ]


def test_a_length_to_the_power_of_the_penalty_stays_in_the_range_of_float32():
    cell = dataclasses.replace(CELL, search=Beam(2, length_penalty=10.0))
    assert obstacle(cell) == ""
    assert obstacle(dataclasses.replace(cell, tgt_len=4096)) == (
        "search.length_penalty=10.0 is not allowed with 4096 tokens: 4096 to this power is out of the range of "
        "float32; give at most 9.62 and at least its negative"
    )


(CELL,) = cells("seq_len=4")
