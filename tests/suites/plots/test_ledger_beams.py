"""Pictures of a ledger of beam search: W is in the shapes, and what beams share or copy is told."""

import pytest
from matplotlib import rc_context

from strategies import parse
from strategies.models.costs import StepShape
from strategies.models.traffic import ElementBytes, step_bytes
from suites.ledger.formula import formula_ledger
from suites.ledger.table import make_ledger
from suites.plots.ledger import dimensions, layer, matrices, stacks, traffic
from suites.plots.ledger.flow import ROLES, read_layer
from suites.plots.style import RC, WIDTH_IN
from suites.work.steps import facts_at

from .test_ledger_plots import BATCH, SOURCE, STEPS, TARGET, inputs

BEAMS = 3
EXPANDED, TABLE = "contiguous_kv(cross_beams=expanded)", "static_kv(reorder=table)"
ONCE = "static_kv(cross=recompute,cross_beams=expanded_once)"
LABELS = ("full_recompute", "contiguous_kv", EXPANDED, "static_kv", TABLE, "static_kv(read=buffer,reorder=table)", ONCE)


@pytest.fixture(scope="module", params=["t5", "transformer2017 multi-query"])
def model(request, tiny_model):
    """Tiny, with as many K/V heads as heads and with one."""
    return tiny_model(request.param)


@pytest.fixture(scope="module")
def ledger(model):
    """As the command records it."""
    return make_ledger(model, [parse(label) for label in LABELS], [(inputs(SOURCE), STEPS)], TARGET, beams=BEAMS)


@pytest.fixture(scope="module")
def layers(ledger):
    return {label: read_layer(ledger, label, 5, SOURCE) for label in ("training", *LABELS)}


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_diagram_shows_the_recorded_shape_of_every_product(ledger, layers):
    for label, shown in layers.items():
        rows = ledger[(ledger["strategy"] == label) & ledger["role"].isin(ROLES)]
        rows = rows[rows["k"].isna() | (rows["k"] == 5)]
        drawn = texts(layer.figure(shown))
        assert {*rows["role"], *rows["shape"], *rows["shape_numbers"]} <= set(drawn)


def test_every_letter_has_its_number(layers, model):
    for label, shown in layers.items():
        beams = {} if label == "training" else {"W": BEAMS}
        config = model.config
        wanted = {"B": BATCH, "H": config.num_heads, "d": config.d_kv, "S": SOURCE, **beams}
        wanted |= {"G": config.kv_heads} if config.group > 1 else {}
        assert wanted.items() <= shown.sizes.items()
        assert ("W" in shown.sizes) == bool(beams)


def test_what_beams_share_and_copy_is_read_from_the_ledger(layers):
    found = {
        label: (one.reordered, one.gathered, one.has_table, one.cross_shared, one.cross_reordered)
        for label, one in layers.items()
    }
    assert found == {
        "training": ("", "", False, True, False),
        "full_recompute": ("", "", False, True, False),
        "contiguous_kv": ("k-1", "", False, True, False),
        EXPANDED: ("k-1", "", False, False, True),
        "static_kv": ("k-1", "", False, True, False),
        TABLE: ("", "k", True, True, False),
        "static_kv(read=buffer,reorder=table)": ("", "C", True, True, False),
        ONCE: ("k-1", "", False, False, False),
    }
    assert [one.moved for one in layers.values()] == ["", "", "k-1", "k-1", "", "", "", ""]


def test_nothing_is_reordered_before_the_first_step(ledger):
    shown = read_layer(ledger, EXPANDED, 1, SOURCE)
    assert (shown.reordered, shown.cross_reordered) == ("", False)
    assert "Before the step" not in layer.caption(shown)


@pytest.mark.parametrize(
    ("label", "title", "notes", "caption"),
    [
        ("contiguous_kv", "which are moved and reordered at every step", ["k-1 rows of each reordered"],
         "share its cross-attention K and V, as rows of one product. Before the step, the old rows of K and V are"),
        (EXPANDED, "which are moved and reordered at every step", ["a copy each, reordered"],
         "of their own. Before the step, the old rows of K and V and what is kept of the source are copied"),
        ("static_kv", "which are reordered at every step", ["shared by 3 beams"], "The 3 beams of a sentence share"),
        (TABLE, "gathered through a table", ["table reordered, k rows gathered"], "a table that says where"),
        (ONCE, "which are reordered at every step", ["a copy for each beam"], "read cross-attention K and V of"),
        ("full_recompute", "2 of them with k²", ["shared by 3 beams", "all k rows again"], "as rows of one product."),
    ],
)  # fmt: skip
def test_a_diagram_and_its_caption_tell_it(layers, label, title, notes, caption):
    figure = layer.figure(layers[label])
    assert title in figure.get_suptitle()
    assert set(notes) <= set(texts(figure))
    assert caption in layer.caption(layers[label])


@pytest.mark.parametrize("label", ["full_recompute", EXPANDED, TABLE])
@pytest.mark.parametrize("times", [1, 997])
def test_nothing_on_a_diagram_leaves_the_page_or_covers_other_words(ledger, label, times):
    numbers = ledger["shape_numbers"].str.replace(r"\b\d+\b", lambda match: str(times * int(match[0])), regex=True)
    figure = layer.figure(read_layer(ledger.assign(shape_numbers=numbers), label, 5, SOURCE))
    with rc_context(RC):
        figure.draw_without_rendering()
    left, bottom, right, top = figure.get_tightbbox().extents
    assert min(left, bottom) >= -0.03
    assert right <= WIDTH_IN
    assert top <= figure.get_size_inches()[1]
    drawn = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts]
    for place, (text, box) in enumerate(drawn):
        for other, area in drawn[place + 1 :]:
            width = min(box.x1, area.x1) - max(box.x0, area.x0)
            height = min(box.y1, area.y1) - max(box.y0, area.y0)
            assert min(width, height) < 4, (text, other)


def test_stacked_bytes_are_those_of_the_whole_step(ledger, model):
    moved = stacks.panels(ledger, SOURCE, traffic.moved_bytes(ledger))
    for label in LABELS:
        bound = parse(label).bind(TARGET)
        (bytes_,) = (panel for panel in moved if label in panel.strategies)
        for k in STEPS:
            shape = StepShape(
                BATCH, SOURCE, **facts_at(bound, k, SOURCE, BEAMS)._asdict(), cross_recomputed=bound.cross != "cached",
                beams=BEAMS, cross_shared=bound.cross_beams == "shared",
            )  # fmt: skip
            assert bytes_.total[k] == step_bytes(model.config, shape, ElementBytes(4)).total, (label, k)
    assert all("other" not in panel.columns for panel in moved)


def test_sizes_are_those_of_one_beam(ledger, model):
    sizes = {label: panel.values for panel in dimensions.panels(ledger, SOURCE) for label in panel.strategies}
    rows = "H/G" if model.config.group > 1 else "1"
    assert sizes[EXPANDED][f"rows {rows}"].to_list() == [model.config.group] * len(STEPS)
    assert sizes["full_recompute"]["source S"].to_list() == [SOURCE] * len(STEPS)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (dimensions, "Rows are of one beam; a product has BW times as many"),
        (matrices, "One head of K of one beam"),
        (traffic, f"Batch {BATCH}, {BEAMS} beams, source"),
    ],
)
def test_the_foot_of_a_picture_names_the_beams(ledger, picture, words):
    figure, _ = picture.draw(ledger, SOURCE)
    assert any(words in " ".join(text.get_text().split()) for text in figure.texts)


def test_a_ledger_by_formula_is_drawn_as_the_recorded_one(ledger, model, layers):
    formula = formula_ledger(model.config, [parse(EXPANDED)], BATCH, SOURCE, TARGET, 5, 4, BEAMS)
    assert read_layer(formula, EXPANDED, 5, SOURCE) == layers[EXPANDED]
