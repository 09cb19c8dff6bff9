"""The columns of a case's search: written, read back, and known of tables that did not have them."""

import dataclasses

import pandas as pd
import pytest

from strategies.search.options import Beam, Greedy, Sample
from suites.settings.config import ConfigError
from suites.store.files import ResultsError
from suites.tables.case_table import case_table
from suites.tables.groups import groups
from suites.tables.table_files import read_tables, write_tables
from suites.telling.choices_told import case_told
from suites.telling.ranking import rankings, title_of
from suites.two_runs.matching import match
from suites.two_runs.runs import RunRead, read_run

from .test_case_table import a_round, ok, result

COLUMNS = ["search", "num_beams"]
SEARCHES = {
    "g": Greedy(),
    "b": Beam(),
    "w": Beam(8),
    "p": Beam(length_penalty=2.0, num_return=2),
    "s": Sample(temperature=0.5, top_p=0.9),
}
TOLD = [
    ["greedy", 1],
    ["beam", 4],
    ["beam", 8],
    ["beam(length_penalty=2.0,num_return=2)", 4],
    ["sample(temperature=0.5,top_p=0.9)", 1],
]


def cells():
    arms = [ok(), ok("static_kv")]
    rounds = [a_round(arm.strategy, index) for arm in arms for index in range(2)]
    return [
        dataclasses.replace(result(arms, rounds, search=dataclasses.asdict(search)), id=name)
        for name, search in SEARCHES.items()
    ]


def test_a_case_has_its_search_with_what_is_not_at_its_default_and_its_number_of_beams():
    table = case_table(cells()).drop_duplicates("cell")
    assert table[COLUMNS].to_numpy().tolist() == TOLD
    assert case_table([result([ok()], [])])[COLUMNS].to_numpy().tolist() == [["greedy", 1]]


def test_they_are_read_back_and_tables_that_lack_them_are_of_greedy_search(tmp_path):
    written, _ = write_tables(tmp_path, cells())
    assert read_tables(tmp_path)[0][COLUMNS].equals(written[COLUMNS])
    path = tmp_path / "table.csv"
    pd.read_csv(path, keep_default_na=False, dtype=str).drop(columns=COLUMNS).to_csv(path, index=False)
    old = read_tables(tmp_path)[0]
    assert old[COLUMNS].drop_duplicates().to_numpy().tolist() == [["greedy", 1]]
    assert list(old) == list(written)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("num_beams", "0", "num_beams=0; that is no whole number of at least 1"),
        ("num_beams", "many", "text among the numbers of num_beams"),
        ("num_beams", "5", "one cell with two different settings"),
        ("search", "sample", "one cell with two different settings"),
    ],
)
def test_a_table_that_no_run_wrote_is_refused(tmp_path, column, value, told):
    write_tables(tmp_path, cells())
    path = tmp_path / "table.csv"
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    table.loc[1, column] = value
    table.to_csv(path, index=False)
    with pytest.raises(ResultsError, match=told):
        read_tables(tmp_path)


def test_each_search_is_ranked_apart_and_each_number_of_beams_has_a_block():
    table = case_table(cells())
    found = list(groups(table))
    assert ["".join(rows["cell"].unique()) for rows in found] == ["g", "bw", "p", "s"]
    titles = [title_of(rows, table) for rows in found]
    assert titles[0].endswith("fp32")
    assert [title.partition("fp32, ")[2] for title in titles[1:]] == [f"search={told}" for told, _ in TOLD[2:]]
    blocks = [[cell for cell in shown.columns[0].cells if "batch" in str(cell)] for shown in rankings(table)]
    assert [list(map(str, block)) for block in blocks] == [
        ["batch 2, 4 -> 3"],
        ["batch 2, 4 beams, 4 -> 3", "batch 2, 8 beams, 4 -> 3"],
        ["batch 2, 4 beams, 4 -> 3"],
        ["batch 2, 4 -> 3"],
    ]


def test_a_cell_is_told_with_its_beams():
    greedy, beam, *_ = cells()
    assert [case_told(one) for one in (greedy, beam)] == ["batch 2, 4 -> 3 tokens", "batch 2, 4 beams, 4 -> 3 tokens"]


def test_runs_of_different_searches_share_no_case(tmp_path):
    greedy, beam, wide, *_ = (read_of(tmp_path / one.id, one) for one in cells())
    with pytest.raises(ConfigError, match=r"the runs share no case \(search greedy and beam, num_beams 1 and 4\)"):
        match(greedy, beam)
    with pytest.raises(ConfigError, match=r"the runs share no case \(num_beams 4 and 8\)"):
        match(beam, wide)


def read_of(folder, cell) -> RunRead:
    folder.mkdir()
    write_tables(folder, [cell])
    return read_run(folder)


def test_of_the_sequences_of_a_sentence_only_the_best_counts_to_the_throughput():
    arm = ok(row_lens=[3, 9, 5, 7])
    one, two = (
        result([arm], [a_round(arm.strategy, index) for index in range(2)], search=dataclasses.asdict(search))
        for search in (Beam(), Beam(num_return=2))
    )
    rates = [case_table([each])["throughput_tokens_per_s"].item() for each in (one, two)]
    assert rates[0] == pytest.approx(3 * rates[1])  # 24 tokens of four sentences, and 3 + 5 of two
