"""The page that walks through a phrase: what it says is what was recorded."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from strategies import ModelSpec, Session, TextError, load_model, load_vocabulary, parse
from suites.__main__ import main
from suites.explain.walk import read_walk
from suites.explain.write import explain, write_page
from suites.ledger.table import read_ledger
from suites.plots.ledger import draw
from suites.probes import record
from suites.settings.cells import Cell
from suites.settings.config import ConfigError
from suites.words.quantity import quantity
from tests.command import ROOT
from tests.models.text_folders import t5_with_weights

PHRASE = "sequence to sequence"
CELL = Cell(ModelSpec("pronounce", "pronounce"), 64, 64, 1, "cpu", "fp32", 1, 0, "fixed")


LAYERS = 3
K = 5
"""The step that the page shows."""


@pytest.fixture(scope="module")
def drawn() -> list:
    """What ``draw`` gave for the page."""
    return []


@pytest.fixture(scope="module")
def page(tmp_path_factory, drawn) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suites.explain.write.draw", lambda *given: drawn.append(draw(*given)) or drawn[-1])
        written = explain(CELL, [parse("static_kv(read=buffer)")], PHRASE, K, folder)
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
    assert [int(row[0]) for row in rows] == [1, 2, 3, K]
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
        growing = [p.flops * LAYERS for p in (scores, context)]
        assert row[6] == quantity(sum(growing), "")
        assert row[7] == quantity(
            sum(p.flops * (1 if role == "lm_head" else LAYERS) for role, p in products.items()), ""
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


def test_shapes_in_the_prose_are_those_of_the_product_named(page):
    folder, text = page
    ledger = read_ledger(folder)
    mine = ledger[(ledger["strategy"] == "contiguous_kv") & (ledger["k"].isna() | (ledger["k"] == K))].set_index("role")
    prose = " ".join(text.split())
    said = re.findall(r"`([a-z_.]+)`(?:, | is | gives logits for every row, )`(\[[^`]+)` = `(\[[^`]+)`", prose)
    assert len(said) >= 8
    training = ledger[ledger["strategy"] == "training"].set_index("role")
    for role, letters, numbers in said:
        row = (training if ",N," in letters else mine).loc[role]
        assert (letters, numbers) == (row["shape"], row["shape_numbers"]), role


def test_the_share_of_what_is_not_cached(page):
    folder, text = page
    ledger = read_ledger(folder)
    full = ledger[(ledger["strategy"] == "full_recompute") & (ledger["k"] == K)]
    work = full["flops"] * full["count"]
    assert f"{work[full['role'] == 'cross.kv'].sum() / work.sum():.0%} of the FLOPs of a step" in " ".join(text.split())


def test_strategies_are_compared_from_the_ledger(page, steps):
    rows = {row[0].strip("`"): row[1:] for row in table(page[1], "What each strategy does")}
    k = str(K)
    assert rows["full_recompute"][:4] == [k, "`[BH,k,d] x [BH,d,k]`", k, "10 of 12"]
    assert rows["contiguous_kv"][:4] == ["1", "`[BH,1,d] x [BH,d,k]`", k, "2 of 11"]
    assert rows["static_kv(read=buffer)"][:4] == ["1", "`[BH,1,d] x [BH,d,C]`", str(len(steps)), "0 of 11"]
    ledger = read_ledger(page[0])
    for label, row in rows.items():
        step = ledger[(ledger["strategy"] == label) & (ledger["k"] == K)]
        assert row[4] == quantity(float((step["flops"] * step["count"]).sum()), "")
    assert f"masked: {len(steps) - K} of its {len(steps)} at this step" in " ".join(page[1].split())


def test_it_ends_where_the_end_token_was_chosen(page, steps):
    assert f"At step {len(steps)} that was `<eos>`, the end token" in " ".join(page[1].split())


def test_pictures_are_there_with_captions(page):
    folder, text = page
    pictures = re.findall(r"!\[(.+)\]\((.+)\)\n\n(\w(?:.+\n)+)", text)
    assert len(pictures) == 7
    for title, path, caption in pictures:
        assert title
        assert (folder / path).stat().st_size > 10_000
        assert len(caption) > 100


def test_the_html_page_needs_nothing_else(page):
    html = (page[0] / "page.html").read_text()
    assert html.count('src="data:image/png;base64,') == 7
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "<table>" in html
    assert "{{" not in html


@pytest.mark.parametrize("phrase", ["'", "e", "tea"])
def test_short_phrases(tmp_path, phrase, monkeypatch):
    """Of one step and of a few: no bullet tells of a step that was not there."""
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    [md, html] = explain(CELL, [], phrase, None, tmp_path / "out")
    text = md.read_text()
    steps = len(read_walk(tmp_path / "out").steps)
    assert ("- **Step 2**" in text) == (steps > 1)
    assert ("- **Step 3**" in text) == (steps > 2)
    assert html.exists()


def test_the_page_is_written_from_its_folder(page, drawn, monkeypatch):
    """With the pictures as drawn before: test_ledger_files.py has equal ledgers give equal ones."""
    folder, text = page
    (pictures,) = drawn
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: pictures)
    again = write_page(folder, PHRASE, K)
    assert again[0].read_text() == text


def test_a_page_is_written_over_though_its_ledger_is_not_kept(tmp_path, monkeypatch):
    """As ``make page`` finds docs/decoding in a fresh checkout."""
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    (tmp_path / "page.md").write_text("an earlier page")
    [md, _] = explain(CELL, [], "tea", None, tmp_path)
    assert "an earlier page" not in md.read_text()


def test_a_checkpoint_with_a_tokenizer_decodes_a_text_of_the_user(tmp_path, monkeypatch, capsys):
    """Its words are those of the checkpoint's vocabulary, and marks of Markdown in them are shown as they are."""
    folder = t5_with_weights(tmp_path / "mine")
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    given = ["model=t5", f"model.checkpoint={folder}", "device=cpu", "threads=1", "strategies=[static_kv]"]
    assert main(["shapes", "--explain", "--phrase", "the cat | sat `on`", *given]) == 0
    text = Path(capsys.readouterr().out.splitlines()[0]).read_text()
    told = " ".join(text.split())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = tokenizer.convert_ids_to_tokens(tokenizer("the cat | sat `on`")["input_ids"])
    assert "decoded with the checkpoint `mine`" in told
    spelled = " ".join(f"`{word}`" for word in words)
    assert f"`` the cat | sat `on` `` is made into S = {len(words)} source tokens: {spelled} " in told
    assert "model.checkpoint=DIR --phrase 'the cat | sat `on`'" in told
    assert table(text, "Steps 1, 2, 3")[0][1] == "`<pad>`"
    (folder / "spiece.model").unlink()
    assert main(["shapes", "--explain", "--phrase", "the cat", *given]) == 1
    assert re.search(r"spiece\.model does not exist; T5Tokenizer reads it; [^\n]+\n$", capsys.readouterr().err)


@pytest.mark.parametrize(("given", "prefix"), [([], [0, 7]), (["model.prefix_ids=[7,9,11]"], [0, 7, 9, 11])])
def test_after_a_prefix_the_page_tells_what_prefill_feeds_and_begins_at_its_last_token(
    tmp_path, monkeypatch, capsys, given, prefix
):
    """The folder forces one token by ``forced_bos_token_id``; three are given on the command line."""
    folder = t5_with_weights(tmp_path / "mine")
    rules = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1, "forced_bos_token_id": 7}
    (folder / "generation_config.json").write_text(json.dumps(rules))
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    asked = ["shapes", "--explain", "--phrase", "the cat", "model=checkpoint", f"model.checkpoint={folder}", *given]
    asked += ["device=cpu", "threads=1", "strategies=[static_kv]"]
    assert main(asked) == 0
    page = Path(capsys.readouterr().out.splitlines()[0])
    text, (first, *others), count = page.read_text(), read_walk(page.parent).steps, len(prefix)
    told = " ".join(text.split())
    assert " ".join(["model.checkpoint=DIR", *given, "--phrase"]) in told

    model = T5ForConditionalGeneration.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = tokenizer.convert_ids_to_tokens(prefix)
    source, steps = tokenizer("the cat", return_tensors="pt"), 1 + len(others)
    [token_N] = model.generate(
        **source, decoder_input_ids=torch.tensor([prefix]), max_new_tokens=steps, num_beams=1, forced_bos_token_id=None
    )
    chosen = tokenizer.convert_ids_to_tokens(token_N[count:])
    spelled = " ".join(f"`{word}`" for word in words)
    assert f"prefix of P = {count} forced tokens, the start token first, which N does not count: {spelled} " in told
    assert [first.fed, *(step.fed for step in others)] == [words[-1], *chosen[:-1]]
    assert f"in one pass: P-1 = {count - 1} rows. `self.qkv` is `[B,P-1,D] x [D,3Hd]` = `[1,{count - 1},16] x" in told
    assert f"its first step feeds all {count} rows, `self.qkv` `[B,k,D] x [D,3Hd]` = `[1,{count},16] x [16,48]`" in told
    shown = table(text, "The steps at k = ")
    assert [row[0] for row in shown[:3]] == [str(count + step) for step in range(3)]
    assert shown[0][2:5] == [str(count - 1), str(count), f"`[2,1,8] x [2,8,{count}]`"]
    rows = {row[0].strip("`"): row[1] for row in table(text, "What each strategy does at k = ")}
    assert rows == {"full_recompute": "0", "contiguous_kv": str(count - 1), "static_kv": str(count - 1)}
    assert f"P = {count} (tokens of the prefix" in told
    assert float(re.search(r"largest difference is (\S+):", text)[1]) < 1e-2
    if given:
        assert main([*asked, "k=3"]) == 1
        assert "k=3 lies within the prefix of 4 tokens; give k=4 to k=" in capsys.readouterr().err


def test_mistakes(tmp_path, monkeypatch, capsys):
    with pytest.raises(ConfigError, match=r"k=99 lies beyond the \d+ steps of this phrase; give k=1 to"):
        explain(CELL, [], PHRASE, 99, tmp_path / "out")
    with pytest.raises(TextError, match="cannot spell"):
        explain(CELL, [], "42", None, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.chdir(tmp_path)
    assert main(["shapes", "--explain", "model=tiny"]) == 1
    assert "give model=pronounce device=cpu" in capsys.readouterr().err
    assert main(["shapes", "--explain", "search=beam"]) == 1
    told = "search=beam has no effect, as --explain shows greedy search alone, and shapes without it beams too; leave"
    assert told in capsys.readouterr().err
    assert main(["shapes", "--explain", "strategies=['static_kv(reorder=table)']"]) == 1
    assert "reorder=table has no effect where a sentence has one beam" in capsys.readouterr().err


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    assert main(["shapes", "--explain", "--phrase", "tea", "threads=1", "strategies=[static_kv]", "k=2"]) == 0
    [md, html] = map(Path, capsys.readouterr().out.splitlines())
    assert "## Steps 1, 2, 3\n" in md.read_text()
    assert html.exists()
    assert "- static_kv" in (md.parent / "config.yaml").read_text()
    assert (md.parent / "environment.json").exists()


def lines_without_logits(text: str) -> list[str]:
    """Logits depend on the processor in their last digits; pictures were not drawn."""
    text = re.sub(r"!\[[^\n]+\n\n(?:[^\n]+\n)+", "", text)
    text = re.sub(r"largest difference is [^\s:]+", "largest difference is #", text)
    return [line for line in re.sub(r"-?\d+\.\d{3}\b", "#", text).splitlines() if line.strip()]


def test_the_page_in_the_docs_is_of_the_shipped_model(tmp_path, monkeypatch, capsys):
    """``make page`` writes it anew."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    assert main(["shapes", "--explain", "threads=1", "hydra.run.dir=out"]) == 0
    kept = (ROOT / "docs" / "decoding" / "page.md").read_text()
    assert lines_without_logits((tmp_path / "out" / "page.md").read_text()) == lines_without_logits(kept)


def test_an_approximate_strategy_is_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.explain.write.draw", lambda *_: [])
    explain(CELL, [parse("sliding_kv(window=4,sinks=1)")], "tea time", 2, tmp_path)
    text = (tmp_path / "page.md").read_text()
    assert "| `sliding_kv(window=4,sinks=1)` (approximate) |" in text
    assert "| `contiguous_kv` |" in text
    assert "An approximate strategy saves bytes or products by losing something" in text


def test_without_an_approximate_strategy_nothing_is_said_of_them(page):
    assert "approximate" not in page[1]
