"""What docs/stores.md says is told of a broken store, and of a session used wrongly, is told."""

import re
from dataclasses import dataclass

import pytest
import torch

from strategies import Session, Strategy, StrategyError, parse
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.static_kv import StaticKV
from suites.contenders.running.lineup import Contenders
from suites.measuring.runner import run_cell
from suites.settings.cells import make_cell
from suites.settings.config import MeasureConfig
from suites.settings.overrides import compose_jobs, read_overrides
from suites.words.progress import Progress
from tests.command import ROOT

TEXT = (ROOT / "docs" / "stores.md").read_text()
TOLD = TEXT[TEXT.index("## What is told when it is broken") :]
SMALL = ["d_model=14", "num_heads=3", "d_kv=5", "d_ff=22", "encoder_layers=1", "decoder_layers=2", "vocab_size=29"]


class Broken(ContiguousKV):
    """A growing cache, of whose store or declarations one thing is wrong."""

    label = "broken"
    store: type[ContiguousStore] = ContiguousStore

    def self_kv(self, shape):
        return self.store(shape)


def of_store(**wrong):
    """The strategy whose store has these methods in place of the right ones."""
    return of_strategy(store=type("Store", (ContiguousStore,), wrong))


def of_strategy(**wrong):
    return dataclass(frozen=True)(type("Wrong", (Broken,), wrong))()


@dataclass(frozen=True)
class Neither(Strategy):
    label = "broken"


def returning(change):
    """An ``append`` whose result is changed."""
    return lambda store, *given: change(*ContiguousStore.append(store, *given))


def block_3(*given):
    raise KeyError("block 3")


ROWS = [
    ("Neither `self_kv`", Neither()),
    ("`open` gives another number", of_strategy(open=lambda self, shape, layers: [self.self_kv(shape)])),
    ("A fact is no whole number", of_strategy(rows_copied=lambda self, k: k / 2)),
    ("`append` returns another type", of_store(append=returning(lambda k, v: (k.double(), v.double())))),
    ("`append` returns another number of keys", of_store(key_position_M=lambda s, step: torch.arange(step.length - 1))),
    ("Positions that are not whole", of_store(key_position_M=lambda s, step: torch.arange(step.length).float())),
    ("`append` raises", of_store(append=block_3)),
    ("Keys are lost", of_store(append=returning(lambda k, v: (k[:, :, 1:], v[:, :, 1:])))),
    ("Keys are lost, swapped", of_store(append=returning(lambda k, v: (v, k)))),
    ("Keys are lost", of_store(key_position_M=lambda s, step: torch.arange(step.length).flip(0))),
    ("`nbytes` returns no pair", of_store(nbytes=lambda store, length: None)),
    ("With several beams, no `select`", of_store(select=None)),
    ("With several beams, a `select`", of_store(select=lambda store, parent_B, step: None)),
    ("Facts that disagree", of_strategy(rows_copied=lambda self, k: 0)),
]


def measured(strategy, architecture, folder, *more):
    """What came of a strategy in a small cell, the row of table.csv of it."""
    sizes = [f"model.{size}" for size in (*SMALL, f"architecture={architecture}")]
    chosen = ["model=tiny", "src_len=4", "tgt_len=4", "batch_size=2", "device=cpu", "threads=1"]
    (job,) = compose_jobs(read_overrides([*chosen, *sizes, *more]))
    measure = MeasureConfig(rounds=2, warmup=0)
    (found,) = run_cell(make_cell(job.config), [strategy], measure, folder, Progress(1, 1), Contenders())
    return found


BROKEN, USED = (
    [" ".join(entry.split()) for entry in re.findall(r"^- (.*?)(?=^- |\n\n|\Z)", part, re.MULTILINE | re.DOTALL)]
    for part in TOLD.split("Which errors")
)


def row(start):
    """Status and the quoted texts of the page's entry that begins so."""
    (entry,) = (entry for entry in BROKEN if entry.startswith(start))
    status, told = re.search(r" \((failed|invalid|ok)\): (.*)", entry).groups()
    return status, re.findall(r"`([^`]+)`", told)


@pytest.mark.parametrize(("start", "strategy"), ROWS)
def test_a_broken_store_is_a_row_with_the_status_and_the_words_of_the_page(start, strategy, tmp_path):
    status, texts = row(start)
    search = ["search=beam", "search.num_beams=4"] if "beams" in start else []
    found = measured(strategy, "t5", tmp_path, *search)
    assert found.status == status
    found_text, *texts = (re.sub(r"step \d: logits of row \d", "a step", text) for text in (found.reason, *texts))
    assert all(text in found_text for text in texts), found.reason


def test_every_entry_of_the_page_is_tried():
    assert len(BROKEN) > 5
    assert all(any(entry.startswith(start) for start, _ in ROWS) for entry in BROKEN)


def test_positions_are_not_asked_for_without_relative_positions(tmp_path):
    wrong = of_store(key_position_M=lambda store, step: block_3())
    assert measured(wrong, "transformer2017", tmp_path).status == "ok"
    assert measured(wrong, "t5", tmp_path / "t5").status == "failed"


def test_a_session_used_wrongly_says_what_the_page_says(tiny_model):
    model = tiny_model("t5")
    session, two_beams = (Session(model, parse("static_kv"), 1, 4, 2, beams=beams) for beams in (1, 2))
    token_B = torch.zeros(1, dtype=torch.int64)

    def too_far():
        session.prefill(torch.full((1, 4), 2))
        for _ in range(3):
            session.step(token_B)

    def not_selected():
        two_beams.prefill(torch.full((1, 4), 2))
        for _ in range(2):
            two_beams.step(token_B.expand(2))

    def selected_twice():
        for _ in range(2):
            two_beams.select(torch.tensor([[1, 0]]))

    wrong = [
        lambda: session.step(token_B),
        lambda: session.prefill(torch.zeros(2, 4, dtype=torch.int64)),
        too_far,
        not_selected,
        selected_twice,
        lambda: Session(model, parse("static_kv(capacity=4)"), 1, 4, 6),
        lambda: Session(model, StaticKV(read="bucket", execution="graph"), 1, 4, 6),
    ]
    for call, entry in zip(wrong, USED, strict=True):
        told = re.findall(r"`([^`]+)`", entry)[-1]
        with pytest.raises(StrategyError) as caught:
            call()
        assert told in str(caught.value)
