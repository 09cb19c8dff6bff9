"""What the summary says of a search: phoneme errors by number of beams, rows that moved, and ties."""

from types import SimpleNamespace

from suites.telling.search_told import moved_told, quality_told, ties_told


def cell(beams=4, src_len=16, batch_size=8, **found):
    """A cell of beam search with what was found in it; of greedy search without beams."""
    search = {"kind": "greedy"}
    if beams:
        search = {"kind": "beam", "num_beams": beams, "length_penalty": 1.0, "early_stopping": "false", "num_return": 1}
    known = {"dtype": "fp32", "batch_size": batch_size, "src_len": src_len, "tgt_len": 16, "search": search, **found}
    return SimpleNamespace(cell=known)


def spoken(beams, rate, **more):
    return cell(beams, phoneme_error=rate, phoneme_error_words=500, **more)


def test_a_sweep_over_beams_has_one_line_in_their_order_whatever_else_was_swept():
    cells = [spoken(8, 0.0987), spoken(1, 0.10225), spoken(2, 0.0994), spoken(2, 0.0994, batch_size=1)]
    (line,) = quality_told(cells)
    assert line == (
        "phoneme error on 500 held-out words: 10.22 % with 1 beam, 9.94 % with 2 beams and 9.87 % with 8 beams"
    )


def test_kinds_of_search_and_weights_have_a_line_each_that_names_them():
    other = spoken(4, 0.3)
    other.cell["search"] |= {"length_penalty": 2.0}
    lines = quality_told([spoken(4, 0.1), spoken(4, 0.2, weights="int8"), other])
    assert [line.partition(": ")[2] for line in lines] == [
        "10.00 % with 4 beams",
        "20.00 % with 4 beams",
        "30.00 % with 4 beams",
    ]
    assert "fp32, torch, beam:" in lines[0]
    assert "int8, torch, beam:" in lines[1]
    assert "fp32, torch, beam(length_penalty=2.0):" in lines[2]


def test_a_search_without_beams_beside_beam_search_has_a_rate_alone():
    lines = quality_told([spoken(0, 0.1), spoken(4, 0.09)])
    assert [line.partition("words, ")[2] for line in lines] == [
        "fp32, torch, greedy: 10.00 %",
        "fp32, torch, beam: 9.00 % with 4 beams",
    ]


def test_without_a_phoneme_error_nothing_is_said_but_why_it_is_not_known():
    assert quality_told([cell(), cell(0)]) == []
    (line,) = quality_told([cell(4, phoneme_error_reason="no room")])
    assert line == "batch 8, 4 beams, 16 -> 16 tokens: the phoneme error is not known: no room"


def test_the_share_of_rows_that_moved_is_told_with_several_beams_alone():
    assert moved_told([cell(0), cell(1, moved_share=0.0), cell(4)]) == []
    (line,) = moved_told([cell(4, moved_share=0.374)])
    assert line.startswith("In 37 % of rows another beam was continued")


def test_shares_of_cells_that_differ_in_beams_name_these_and_of_other_cells_all_sizes():
    (line,) = moved_told([cell(2, moved_share=0.2), cell(4, moved_share=0.4)])
    assert line.endswith(": 20 % with 2 beams and 40 % with 4 beams")
    (line,) = moved_told([cell(4, moved_share=0.2), cell(4, src_len=32, moved_share=0.4)])
    assert line.endswith(": 20 % (batch 8, 4 beams, 16 -> 16 tokens) and 40 % (batch 8, 4 beams, 32 -> 16 tokens)")


def test_of_many_cells_the_least_and_the_greatest_share_are_told():
    (line,) = moved_told([cell(4, src_len=n, moved_share=n / 100) for n in (30, 20, 10, 40, 50, 60, 55)])
    assert line.endswith(": from 10 % (batch 8, 4 beams, 10 -> 16 tokens) to 60 % (batch 8, 4 beams, 60 -> 16 tokens)")


def test_ties_are_told_where_there_are_any():
    found = list(ties_told([cell(4, search_ties=0), cell(4, search_ties=1), cell(0), cell(2, search_ties=3)]))
    assert [line.partition(" within")[0] for line in found] == [
        "batch 8, 4 beams, 16 -> 16 tokens: 1 choice of the search is a tie",
        "batch 8, 2 beams, 16 -> 16 tokens: 3 choices of the search are ties",
    ]
