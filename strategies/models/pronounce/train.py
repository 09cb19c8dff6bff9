"""Train the pronounce model: ``python -m strategies.models.pronounce.train --steps 12000`` (extra ``[train]``).

The recipe: Muon for the layers' matrices and AdamW for the rest, with warm-up, a constant rate, and a linear cool-down
to zero (Hägele et al. 2024, arXiv 2405.18392), so that a run can be stopped, resumed and cooled down at any length;
label smoothing and dropout as in the 2017 paper; and one cross-attention head that is taught to look at the word being
pronounced (Garg et al. 2019, arXiv 1909.02074). Without this the decoder is slow to find its place in phrases of many
words.

Checkpoints are written to ``--dir`` and resumed from there. Batches and dropout masks follow from the seed and the step
alone, so a resumed run ends like an uninterrupted one.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..checkpoints.own_format import load_own
from ..encoder_decoder import EncoderDecoder
from ..init import randomize
from . import model_config
from .data import Lexicon, Phrases, dictionary, split
from .guide import Guide
from .muon import Muon
from .text import load_vocabulary
from .training_state import save, to_resume

PEAK_RATE = 1.2e-3
WARM_UP_STEPS = 200
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
GUIDE_WEIGHT = 0.1
PACKED = {"qkv": 3, "kv": 2}
"""Module -> the number of products that the model packs into its weight."""


@dataclass(frozen=True)
class Recipe:
    """What decides the weights of a training run.

    So do the dictionary, the number of threads, the constants of this module and the guided layer of ``guide.py``.
    """

    steps: int = 12000
    cool_down: int = 2500
    tokens: int = 4000
    max_words: int = 34
    dropout: float = 0.1
    seed: int = 0
    peak_rate: float = PEAK_RATE

    @property
    def turn(self) -> int:
        """The step at which the rate starts to fall."""
        return self.steps - self.cool_down

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, constant, linear to zero over the last ``cool_down`` steps."""
        return self.peak_rate * min(1.0, (step + 1) / WARM_UP_STEPS, (self.steps - step) / max(1, self.cool_down))


@dataclass(frozen=True)
class Losses:
    """Means over one batch, in nats: cross entropy of the labels (smoothed), and loss of the guided head."""

    label: float
    guide: float


Report = Callable[[int, Losses], None]
"""Called after each step with the number of steps done and the losses of the last one."""


def make_optimizers(model: EncoderDecoder) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside layers, AdamW for the embedding, biases and norms."""
    inside = {name: p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name}
    groups: dict[int, list[torch.nn.Parameter]] = {}
    for name, weight_XY in inside.items():
        groups.setdefault(PACKED.get(name.split(".")[-2], 1), []).append(weight_XY)
    outside = [p for name, p in model.named_parameters() if name not in inside]
    adam = [
        {"params": [p for p in outside if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in outside if p.ndim == 1], "weight_decay": 0.0},
    ]
    return [
        Muon([{"params": params, "parts": n} for n, params in groups.items()], PEAK_RATE, WEIGHT_DECAY),
        torch.optim.AdamW(adam, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9, fused=True),
    ]


def train(
    recipe: Recipe,
    lexicon: Lexicon,
    folder: Path,
    report: Report = lambda done, losses: None,
    save_every: int = 200,
    weights: Path | None = None,
) -> EncoderDecoder:
    """Run the recipe on ``lexicon``, or resume it from ``folder``; returns the model of the last step.

    The constant phase has a checkpoint of its own, ``constant.pt``, so that a longer run can resume from it instead of
    a cooled-down model, ``cooled.pt``. Where there is no checkpoint, training starts from ``weights``, or from random
    ones.
    """
    phrases = Phrases(lexicon, load_vocabulary(), recipe.tokens, recipe.max_words, recipe.seed)
    model = randomize(EncoderDecoder(model_config(recipe.dropout)), recipe.seed).train()
    if weights is not None:
        model.load_state_dict(load_own(weights, model.config).state_dict())
    guide = Guide(model)
    optimizers = make_optimizers(model)
    first = 0
    earlier_s = 0.0
    if state := to_resume(folder, recipe.steps):
        model.load_state_dict(state["model"])
        for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        first, earlier_s = state["step"], state["seconds"]
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for step in range(first, recipe.steps):
        torch.manual_seed(recipe.seed << 32 | step)
        batch = phrases[step]
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = recipe.rate(step)
        logits_BNV = model(batch.src_BS, batch.src_BS != 0, batch.input_BN)
        label = F.cross_entropy(
            logits_BNV.flatten(0, 1), batch.label_BN.flatten(), ignore_index=0, label_smoothing=LABEL_SMOOTHING
        )
        guided = guide.loss(batch)
        torch.autograd.backward(label + GUIDE_WEIGHT * guided)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad()
        done = step + 1
        report(done, Losses(label.item(), guided.item()))
        if done % save_every == 0 or done in (recipe.turn, recipe.steps):
            state = {
                "step": done,
                "steps": recipe.steps,
                "model": model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "recipe": dataclasses.asdict(recipe),
                "seconds": earlier_s + time.monotonic() - started,
            }
            save(state, folder / ("constant.pt" if done <= recipe.turn else "cooled.pt"))
    return model.eval()


def main() -> None:
    """Parse the command line and train, with a progress bar and a line of mean losses every 50 steps."""
    parser = argparse.ArgumentParser(prog="train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("results/train"), help="checkpoints, resumed from here")
    parser.add_argument("--weights", type=Path, help="start from these (weights.safetensors), with another --seed")
    parser.add_argument("--steps", type=int, default=12000, help="steps in all (default 12000)")
    parser.add_argument("--cool-down", type=int, default=2500, help="last steps, rate to zero (default 2500)")
    parser.add_argument("--tokens", type=int, default=4000, help="tokens a batch, both sides (default 4000)")
    parser.add_argument("--max-words", type=int, default=34, help="words in a phrase, at most (default 34)")
    parser.add_argument("--dropout", type=float, default=0.1, help="dropout (default 0.1)")
    parser.add_argument("--peak-rate", type=float, default=PEAK_RATE, help=f"learning rate, at most ({PEAK_RATE:g})")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads (default: torch's own)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and dropout (default 0)")
    args = vars(parser.parse_args())
    folder, threads, weights = args.pop("dir"), args.pop("threads"), args.pop("weights")
    torch.set_num_threads(threads)
    recipe = Recipe(**args)
    words, _ = split(dictionary())
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    window: list[Losses] = []
    with Progress(*columns) as progress:
        bar = progress.add_task("train", total=recipe.steps)

        def report(done: int, losses: Losses) -> None:
            window.append(losses)
            if done % 50 == 0:
                label, guide = (
                    sum(column) / len(window) for column in zip(*map(dataclasses.astuple, window), strict=True)
                )
                progress.console.print(f"step {done}  loss {label:.3f}  guide {guide:.3f}")
                window.clear()
            progress.update(bar, completed=done)

        train(recipe, words, folder, report, weights=weights)


if __name__ == "__main__":
    main()
