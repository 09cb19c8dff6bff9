"""Pictures of a ledger after a prefix: the rows that prefill feeds are in each of them, with the ledger's numbers."""

import pandas as pd
import pytest

from strategies import ModelConfig, parse
from suites.ledger.formula import formula_ledger
from suites.plots.ledger import dimensions, flops, layer, matrices
from suites.plots.ledger.flow import read_layer

SOURCE, TARGET, P, HEAD, BATCH = 7, 9, 4, 6, 2
LABELS = ("full_recompute", "contiguous_kv", "static_kv(read=buffer)", "sliding_kv(window=3,sinks=1)")
SIZES = {"vocab_size": 50, "d_model": 24, "num_heads": 4, "d_ff": 32, "encoder_layers": 1, "decoder_layers": 2}


def ledger_of(prefix_ids: tuple[int, ...]) -> pd.DataFrame:
    config = ModelConfig(**SIZES, d_kv=HEAD, prefix_ids=prefix_ids)
    strategies, last = [parse(label) for label in LABELS], config.target_rows(TARGET)
    steps = [config.prefix_len, config.prefix_len + 1, config.prefix_len + 4, last]
    parts = [formula_ledger(config, strategies, BATCH, SOURCE, TARGET, k, 4) for k in steps]
    return pd.concat(parts).drop_duplicates(ignore_index=True)


@pytest.fixture(scope="module")
def ledger() -> pd.DataFrame:
    return ledger_of((5, 6, 7))


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def foot(figure) -> str:
    return " ".join(figure._supxlabel.get_text().split())


def test_matrices_begin_with_the_pass_of_prefill(ledger):
    figure, caption = matrices.draw(ledger, SOURCE)
    drawn = [(p.get_gid(), p.get_width(), p.get_height()) for p in figure.axes[-1].patches if p.get_gid()]
    buffer = TARGET + P - 1
    assert [one for one in drawn if one[0].endswith(" 0")] == [
        ("Q 0", HEAD, P - 1), ("scores 0", P - 1, P - 1), ("new 0", P - 1, HEAD),
        ("Q 0", HEAD, P - 1), ("scores 0", buffer, P - 1), ("new 0", P - 1, HEAD),
        ("unwritten 0", buffer - P + 1, HEAD),
        ("Q 0", HEAD, P - 1), ("scores 0", P - 1, P - 1), ("new 0", P - 1, HEAD),
    ]  # fmt: skip
    names = texts(figure)
    assert (names.count("prefill"), names.count("feeds no row")) == (4, 1)
    assert "prefill, which feeds all tokens of the prefix but the last" in caption
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[-1].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_sizes_at_prefill_are_marked_apart_from_the_steps(ledger):
    figure, _ = dimensions.draw(ledger, SOURCE)
    found = {}
    for axes in figure.axes[1:]:
        marks = {line.get_gid(): line for line in axes.lines if str(line.get_gid()).startswith("prefill ")}
        found[axes.get_title(loc="left")] = {gid: (*line.get_xdata(), *line.get_ydata()) for gid, line in marks.items()}
    at, rows = P - 1, ("prefill rows", "prefill keys")
    assert found == {
        "full_recompute": {},
        "contiguous_kv": dict.fromkeys(rows, (at, P - 1)),
        "static_kv(read=buffer)": {rows[0]: (at, P - 1), rows[1]: (at, TARGET + P - 1)},
        "sliding_kv(window=3,sinks=1)": dict.fromkeys(rows, (at, P - 1)),
    }
    assert "Left of the dotted line: the pass in which prefill feeds 3 rows of the prefix." in foot(figure)


def test_the_foot_of_the_flops_tells_those_of_the_prefix(ledger):
    figure, _ = flops.draw(ledger, SOURCE)
    inner, rows = SIZES["num_heads"] * HEAD, BATCH * (P - 1)
    weights = SIZES["d_model"] * (3 * inner + inner + 2 * inner + 2 * SIZES["d_ff"])
    least, most = (2 * 2 * rows * (weights + 2 * inner * (keys + SOURCE)) for keys in (P - 1, TARGET + P - 1))
    assert f"3 rows of the prefix take {least / 1e3:.0f} kFLOPs to {most / 1e3:.0f} kFLOPs" in foot(figure)


@pytest.mark.parametrize(
    ("label", "k", "notes"),
    [
        ("full_recompute", P, ["The first step: all 4 tokens", "of the prefix are fed."]),
        ("full_recompute", P + 1, ["Of these 5 rows, 4 were", "computed at the step before,"]),
        ("contiguous_kv", P, ["3 are remembered,", "all from prefill."]),
        ("contiguous_kv", P + 1, ["4 are remembered,", "3 of them from prefill."]),
        ("sliding_kv(window=3,sinks=1)", P + 4, ["3 are remembered."]),
    ],
)
def test_a_diagram_tells_where_the_rows_of_the_prefix_come_from(ledger, label, k, notes):
    shown = read_layer(ledger, label, k, SOURCE)
    drawn = texts(layer.figure(shown))
    assert set(notes) <= set(drawn)
    assert ("prefill ran the layer on 3 rows of the prefix" in layer.caption(shown)) == (label != "full_recompute")


def test_without_a_prefix_no_picture_speaks_of_one():
    alone = ledger_of(())
    for picture in (matrices, dimensions, flops):
        figure, caption = picture.draw(alone, SOURCE)
        said = " ".join([foot(figure), caption, *texts(figure)]).replace("prefill apart", "")
        assert "prefix" not in said
        assert "prefill" not in said.lower()
    assert "prefill" not in layer.caption(read_layer(alone, "contiguous_kv", 2, SOURCE))
