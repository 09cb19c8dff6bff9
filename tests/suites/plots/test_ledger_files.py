"""The files of a ledger's pictures, whichever strategies, steps and labels it has."""

import re
import xml.etree.ElementTree as ET

import pytest
import torch

from strategies import parse
from suites.ledger.table import make_ledger
from suites.plots.ledger import draw, file_names
from suites.settings.inputs import Inputs
from suites.store.files import ResultsError

BATCH, SOURCE, TARGET, STEPS = 2, 7, 6, (1, 2, 3, 5)
ODD = "<b>cost/$x$ & 'quoted' ünï(with=a very long option,and=another)"


def inputs(src_len):
    """Unpadded sources."""
    return Inputs(torch.ones(BATCH, src_len, dtype=torch.long), None, (src_len,) * BATCH)


@pytest.fixture(scope="module")
def one(tiny_model):
    """Of a single strategy."""
    return make_ledger(tiny_model("t5"), [parse("static_kv")], [(inputs(SOURCE), STEPS)], TARGET)


def test_equal_ledgers_give_equal_files_each_with_title_and_caption(tmp_path, one):
    pictures = draw(tmp_path, one, 5, SOURCE)
    again = draw(tmp_path / "again", one.copy(), 5, SOURCE)
    names = ["layer_training", "layer_static_kv", "matrices", "dimensions", "flops_by_role", "bytes_by_role"]
    assert [picture.name for picture in pictures] == names
    for picture, other in zip(pictures, again, strict=True):
        assert picture.path_png == tmp_path / "plots" / f"{picture.name}.png"
        assert picture.path_png.read_bytes() == other.path_png.read_bytes()
        assert picture.path_svg.read_bytes() == other.path_svg.read_bytes()
        assert picture.title
        assert picture.caption
    text = "".join(ET.parse(pictures[1].path_svg).getroot().itertext())
    assert "[BH,1,d] x [BH,d,k]" in text


@pytest.mark.parametrize("k", [1, 5])
def test_one_step_of_one_strategy_of_any_name_is_drawn(tmp_path, one, k):
    mine = one[(one["phase"] == "prefill") | (one["k"] == k).fillna(False)].assign(strategy=ODD)
    pictures = draw(tmp_path, mine, k, SOURCE)
    assert len(pictures) == 5
    assert all(p.title.startswith(f"{ODD}, ") and f"k = {k}" in p.title for p in pictures)
    assert all(re.fullmatch(r"[\w.-]+", p.path_png.name, re.ASCII) and p.path_svg.exists() for p in pictures)
    text = "".join(ET.parse(pictures[0].path_svg).getroot().itertext())
    assert "<b>cost/$x$ & 'quoted'" in text


def test_names_that_differ_in_odd_characters_alone_do_not_share_a_file():
    assert list(file_names(["a/b", "a:b", "A b", "static_kv(read=buffer)", "$"]).values()) == [
        "layer_a-b", "layer_a-b-2", "layer_A-b-3", "layer_static_kv-read-buffer", "layer_strategy",
    ]  # fmt: skip


def test_a_step_that_was_not_recorded_is_refused_with_the_remedy(tmp_path, one):
    with pytest.raises(ResultsError, match="static_kv at k=4, src_len=7; give a step that was recorded"):
        draw(tmp_path, one, 4, SOURCE)
    assert not (tmp_path / "plots").exists()


def test_a_model_with_other_products_has_curves_and_no_diagram(tmp_path, one):
    other = one.replace({"role": {"self.qkv": "self.q"}})
    names = [picture.name for picture in draw(tmp_path, other, 5, SOURCE)]
    assert names == ["matrices", "dimensions", "flops_by_role", "bytes_by_role"]
