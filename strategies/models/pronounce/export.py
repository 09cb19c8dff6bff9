"""Ship a training checkpoint: ``python -m strategies.models.pronounce.export results/train/cooled.pt``.

Writes the weights, evaluates the file that it wrote, and writes the model card with what was measured.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import asdict
from pathlib import Path
from string import Template

import torch

from ..checkpoints.own_format import load_own, save_own
from ..config import ModelError
from . import WEIGHTS, model_config, train
from .data import held_out
from .evaluate import WORDS_PER_PHRASE, error_rates, table_rows
from .text import HERE
from .train import Recipe
from .training_state import State, load_trained

DTYPE = torch.float16
TEMPLATE, CARD = HERE / "card_template.md", HERE / "MODEL_CARD.md"


def recipe_of(state: State) -> Recipe:
    """The recipe of a checkpoint."""
    return Recipe(**state["recipe"])


def progress_text(step: int, recipe: Recipe) -> str:
    """Say how far a training run had come.

    >>> progress_text(500, Recipe(steps=800, cool_down=200))
    '500 steps of a run of 800, at the full rate, before its cool-down'
    """
    if step >= recipe.steps:
        return f"{recipe.steps:,} steps, the rate cooled down over the last {recipe.cool_down:,}"
    phase = "at the full rate, before its cool-down" if step <= recipe.turn else "within its cool-down"
    return f"{step:,} steps of a run of {recipe.steps:,}, {phase}"


def time_text(seconds: float) -> str:
    """Hours and minutes of training.

    >>> time_text(4000.0)
    '1 h 07 min'
    """
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min"


def markdown(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is its header."""
    header, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([header, "|---:" * len(rows[0]) + "|", *body])


def write_card(template: Path, card: Path, weights: Path, state: State, rates: str, earlier: str = "") -> None:
    """Fill in the template with facts of the file ``weights`` and of its training, and write it to ``card``.

    ``earlier`` describes the training of the weights that this run started from, if it started from any.
    """
    recipe, config = recipe_of(state), model_config()
    content = weights.read_bytes()
    facts = {
        **asdict(config),
        **asdict(recipe),
        "bytes": f"{len(content):,}",
        "dtype": str(DTYPE).removeprefix("torch."),
        "digest": hashlib.sha256(content).hexdigest(),
        "parameters": f"{sum(p.numel() for p in load_own(weights, config).parameters()):,}",
        "training": progress_text(state["step"], recipe),
        "time": time_text(state["seconds"]),
        "held_out": f"{len(held_out()):,}",
        "rates": rates,
        "earlier": f"{earlier} Then, from those weights:\n\n" if earlier else "",
        "start": " --weights weights.safetensors" if earlier else "",
        "dropout": recipe.dropout,
        "weight_decay": train.WEIGHT_DECAY,
        "warm_up": train.WARM_UP_STEPS,
        "smoothing": train.LABEL_SMOOTHING,
        "guide": train.GUIDE_WEIGHT,
    }
    card.write_text(Template(template.read_text(encoding="utf-8")).substitute(facts), encoding="utf-8")


def export(
    checkpoint: Path,
    limit: int | None = None,
    weights: Path = WEIGHTS,
    card: Path = CARD,
    earlier: str = "",
) -> None:
    """Write ``weights`` and ``card``; the old weights stay until the new ones are measured.

    ``limit`` is the number of held-out words to measure on, by default all. ``earlier`` describes the training of the
    weights that this run started from. Raises ModelError if the checkpoint cannot be loaded.
    """
    model, state = load_trained(checkpoint)
    part = weights.with_suffix(".part")
    save_own(model, part, DTYPE, {"step": str(state["step"]), "dtype": str(DTYPE).removeprefix("torch.")})
    part.chmod(0o644)
    shipped = load_own(part, model_config()).eval()
    rates = {}
    for words in WORDS_PER_PHRASE:
        print(f"words per phrase: {words}", file=sys.stderr)
        rates[words] = error_rates(shipped, words, limit)
    rows = markdown(table_rows(rates))
    write_card(TEMPLATE, card, part, state, rows, earlier)
    part.replace(weights)
    print(rows)


def main() -> int:
    """Export a checkpoint; return 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="a checkpoint that train wrote")
    parser.add_argument("--earlier", default="", help="how the weights were trained that this run started from")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: all cores)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        export(args.checkpoint, earlier=args.earlier)
    except ModelError as error:
        print(f"export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
