"""The page that walks through a phrase: what it says is what was recorded."""

import re
from pathlib import Path

import pytest
import torch

from strategies import ModelSpec, Session, TextError, load_model, load_vocabulary, parse
from suites.__main__ import main
from suites.cells import Cell
from suites.config import ConfigError
from suites.explain.write import explain
from suites.ledger.table import read_ledger
from suites.probes import record

PHRASE = "tea for two"
CELL = Cell(ModelSpec("pronounce", "pronounce"), 64, 64, 1, "cpu", "fp32", 1, 0, "fixed")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("explain")
    written = explain(CELL, [parse("static_kv(read=buffer)")], PHRASE, None, folder)
    assert [path.name for path in written] == ["page.md", "page.html"]
    return folder, (folder / "page.md").read_text()


@pytest.fixture(scope="module")
def steps():
    """(fed, chosen, recorded products by role, logits) of each step, by a decode of this test's own."""
    model, names = load_model(ModelSpec("pronounce", "pronounce")), load_vocabulary().tokens
    ids = load_vocabulary().spell(PHRASE)
    session = Session(model, parse("contiguous_kv"), 1, len(ids), 40)
    session.prefill(torch.tensor([ids]))
    fed, found = model.config.start_id, []
    while not found or fed != model.config.eos_id:
        with record(model) as recording:
            logits_V = session.step(torch.tensor([fed]))[0].clone()
        chosen = int(logits_V.argmax())
        found.append((names[fed], names[chosen], {r.product.role: r.product for r in recording.products}, logits_V))
        fed = chosen
    return found


def table(text: str, heading: str) -> list[list[str]]:
    """Rows of the first table under a heading."""
    lines = text.split(f"## {heading}")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return rows[2:]


def shown(token: str) -> str:
    return f"`{'(space)' if token == ' ' else token}`"


def test_steps_are_those_of_another_decode(page, steps):
    rows = table(page[1], "Steps 1, 2, 3")
    assert [int(row[0]) for row in rows] == [1, 2, 3, len(steps)]
    for row in rows:
        k = int(row[0])
        fed, chosen, products, _ = steps[k - 1]
        scores, context = products["decoder.self_attn.scores"], products["decoder.self_attn.context"]
        assert row[1:4] == [shown(fed), str(k - 1), str(k)]
        assert (
            row[4] == f"`[{scores.batch},{scores.rows},{scores.inner}] x [{scores.batch},{scores.inner},{scores.cols}]`"
        )
        assert row[5] == (
            f"`[{context.batch},{context.rows},{context.inner}] x [{context.batch},{context.inner},{context.cols}]`"
        )
        assert row[8] == shown(chosen)


def test_both_passes_give_these_logits(page, steps):
    rows = table(page[1], "What training does instead")
    names = {shown(token): i for i, token in enumerate(load_vocabulary().tokens)}
    k = 0
    for number, token, cached, teacher in rows:
        k = int(number or k)
        assert float(cached) == pytest.approx(float(steps[k - 1][3][names[token]]), abs=2e-3)
        assert float(teacher) == pytest.approx(float(cached), abs=2e-3)
    told = re.search(r"largest difference is (\S+):", page[1])
    assert told
    assert 0 < float(told[1]) < 1e-4


def test_every_shape_on_the_page_is_in_the_ledger(page):
    folder, text = page
    ledger = read_ledger(folder)
    known = set(ledger["shape"]) | set(ledger["shape_numbers"])
    prose = text.split("## Before the first step")[1]
    said = {s for s in re.findall(r"`(\[[^`]* x [^`]*)`", prose) if "..." not in s}
    assert len(said) > 15
    assert said <= known


def test_strategies_are_compared_from_the_ledger(page, steps):
    rows = {row[0].strip("`"): row[1:] for row in table(page[1], "What each strategy does")}
    k = str(len(steps))
    assert rows["full_recompute"][:3] == [k, "`[BH,k,K] x [BH,K,k]`", k]
    assert rows["contiguous_kv"][:4] == ["1", "`[BH,1,K] x [BH,K,k]`", k, "2 of 11"]
    assert rows["static_kv(read=buffer)"][3] == "0 of 11"


def test_it_ends_where_the_end_token_was_chosen(page, steps):
    assert f"At step {len(steps)} that was `<eos>`, the end token" in page[1]


def test_pictures_are_there_with_captions(page):
    folder, text = page
    pictures = re.findall(r"!\[(.+)\]\((.+)\)\n\n(\w.+)", text)
    assert len(pictures) == 6
    for title, path, caption in pictures:
        assert title
        assert (folder / path).stat().st_size > 10_000
        assert len(caption) > 100


def test_the_html_page_needs_nothing_else(page):
    html = (page[0] / "page.html").read_text()
    assert html.count('src="data:image/png;base64,') == 6
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<table>" in html
    assert "{{" not in html


def test_a_chosen_step_and_mistakes(tmp_path, monkeypatch, capsys):
    with pytest.raises(ConfigError, match=r"k=99 lies beyond the \d+ steps of this phrase; give k=1 to"):
        explain(CELL, [], PHRASE, 99, tmp_path)
    with pytest.raises(TextError, match="cannot spell"):
        explain(CELL, [], "42", None, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["shapes", "--explain", "--phrase", "tea", "threads=1", "strategies=[static_kv]", "k=2"]) == 0
    [md, html] = map(Path, capsys.readouterr().out.splitlines())
    assert "## Steps 1, 2, 3\n" in md.read_text()
    assert html.exists()
