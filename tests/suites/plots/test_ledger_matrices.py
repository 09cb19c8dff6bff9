"""The picture of scores as matrices: its rectangles are to scale, and dark is what the step computes."""

import pandas as pd
import pytest

from strategies import ModelConfig, parse
from suites.ledger.formula import formula_ledger
from suites.plots.ledger import matrices

SIZES = {"vocab_size": 100, "d_model": 192, "num_heads": 4, "d_ff": 768, "encoder_layers": 2, "decoder_layers": 2}
HEAD, SOURCE = 48, 40
LABELS = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv", "static_kv(read=buffer)"]


def ledger(target: int, **sizes: int) -> pd.DataFrame:
    config = ModelConfig(**SIZES, d_kv=HEAD, **sizes)
    strategies = [parse(label) for label in LABELS]
    steps = sorted({1, 2, 3, target // 2, target})
    parts = [formula_ledger(config, strategies, 2, SOURCE, target, k, 4) for k in steps if k]
    return pd.concat(parts).drop_duplicates(ignore_index=True)


def boxes(figure, row: int) -> dict[str, tuple[float, float]]:
    """gid -> (width, height) of the rectangles of a row of the picture, from the top."""
    patches = [patch for patch in figure.axes[-1].patches if patch.get_gid()]
    each = [place for place, patch in enumerate(patches) if patch.get_gid() == "Q 2"] + [len(patches)]
    mine = patches[each[row] : each[row + 1]]
    return {patch.get_gid(): (patch.get_width(), patch.get_height()) for patch in mine}


@pytest.mark.parametrize("target", [6, 40, 700])
def test_rectangles_have_the_sizes_of_the_matrices(target):
    figure, _ = matrices.draw(ledger(target), SOURCE)
    full, cached, buffer = (boxes(figure, row) for row in range(3))
    last = f" {target}"
    assert full["Q" + last] == (HEAD, target)
    assert full["new" + last] == (target, HEAD)
    assert "kept" + last not in full
    assert cached["Q" + last] == (HEAD, 1)
    assert cached["kept" + last] == (target - 1, HEAD)
    assert cached["new" + last] == (1, HEAD)
    assert cached["scores" + last] == (target, 1)
    assert buffer["unwritten 2"] == (target - 2, HEAD)
    assert "unwritten" + last not in buffer
    assert figure.axes[-1].get_aspect() == 1.0


def test_the_title_counts_the_rows_of_k_that_the_last_step_computes():
    figure, _ = matrices.draw(ledger(40), SOURCE)
    told = "Rows of K that step k = 40 computes: 40 with full_recompute and cross_kv, 1 with 3 strategies"
    assert figure.get_suptitle() == told


def test_heads_that_share_k_have_more_rows_of_q_and_as_many_new_keys():
    (sizes,) = [p.values for p in matrices.panels(ledger(6, num_kv_heads=2), SOURCE) if "static_kv" in p.strategies]
    assert sizes.loc[6].to_dict() == {"rows": 2, "keys": 6, "head_size": HEAD, "new": 1}
    (sizes,) = [p.values for p in matrices.panels(ledger(6, num_kv_heads=2), SOURCE) if "cross_kv" in p.strategies]
    assert sizes.loc[6].to_dict() == {"rows": 12, "keys": 6, "head_size": HEAD, "new": 6}


def test_labels_do_not_run_into_one_another():
    for target in (2, 6, 40, 700):
        figure, _ = matrices.draw(ledger(target), SOURCE)
        figure.canvas.draw()
        texts = [text.get_window_extent() for text in figure.axes[-1].texts]
        assert not any(a.overlaps(b) for i, a in enumerate(texts) for b in texts[:i])
