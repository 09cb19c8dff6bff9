"""Train the pronounce model: ``python -m strategies.models.pronounce.train --steps 12000`` (extra ``[train]``).

The recipe: AdamW with warm-up, a constant rate, and a linear cool-down to zero (Hägele et al. 2024, arXiv 2405.18392), so
that a run can be stopped, resumed and cooled down at any length; label smoothing and dropout as in the 2017 paper; and one
cross-attention head taught to look at the word being pronounced (Garg et al. 2019, arXiv 1909.02074), without which the
decoder is slow to find its place in phrases of many words. Checkpoints are written to ``--dir`` and resumed from there;
a run with the same seed, step for step, sees the same batches.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ..encoder_decoder import EncoderDecoder
from ..init import randomize
from ..stores import CrossKV
from . import model_config
from .data import Batch, Phrases, dictionary, split
from .text import load_vocabulary

PEAK_RATE = 1.2e-3
WARM_UP_STEPS = 500
GUIDE_WEIGHT = 0.1
GUIDED_LAYER = 1


class Guide:
    """Records where head 0 of one cross-attention looks, as log probabilities, while the model trains."""

    def __init__(self, model: EncoderDecoder) -> None:
        self.attention = model.decoder.layers[GUIDED_LAYER].cross_attn
        self.log_p_BNS = torch.empty(0)
        self.attention.register_forward_hook(self._record)

    def _record(self, module: torch.nn.Module, args: tuple[Tensor, CrossKV, Tensor], output: Tensor) -> None:
        x_BND, source, bias = args
        width = self.attention.head_size
        q_BNK = F.linear(x_BND, self.attention.q.weight[:width], self.attention.q.bias[:width])
        k_BSK = source.get()[0][:, 0]
        score_BNS = self.attention.scale * q_BNK @ k_BSK.transpose(1, 2) + bias[:, 0]
        self.log_p_BNS = score_BNS.log_softmax(-1)

    def loss(self, batch: Batch) -> Tensor:
        """Mean of -log (attention on the letters of the word that the label belongs to)."""
        right_BNS = batch.label_word_BN[:, :, None] == batch.src_word_BS[:, None, :]
        mass_BN = self.log_p_BNS.masked_fill(~right_BNS, -1e4).logsumexp(-1)
        return -mass_BN[batch.label_word_BN >= 0].mean()


def rate(step: int, steps: int, cool_down: int) -> float:
    """Learning rate at a step: linear warm-up, constant, linear to zero over the last ``cool_down`` steps."""
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP_STEPS, (steps - step) / max(1, cool_down))


def save(state: dict[str, object], path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    os.replace(part, path)


def train(args: argparse.Namespace) -> None:
    """Run, or resume, the recipe."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    vocabulary = load_vocabulary()
    words, _ = split(dictionary())
    phrases = Phrases(words, vocabulary, args.tokens, args.max_words, args.seed)
    model = randomize(EncoderDecoder(model_config(args.dropout)), args.seed).train()
    guide = Guide(model)
    decay = [p for p in model.parameters() if p.ndim > 1]
    other = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9, fused=True)
    args.dir.mkdir(parents=True, exist_ok=True)
    # The constant phase has a checkpoint of its own: a longer run resumes from it, not from a cooled-down model.
    constant, cooled = args.dir / "constant.pt", args.dir / "cooled.pt"
    turn = args.steps - args.cool_down
    first, path = 0, constant
    for path in (cooled, constant):
        if path.exists():
            state = torch.load(path, weights_only=True)
            if path is cooled and state["steps"] != args.steps:
                continue
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            first = state["step"]
            break
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as progress:
        bar = progress.add_task("train", total=args.steps, completed=first)
        started, average = time.monotonic(), {"label": 0.0, "guide": 0.0}
        for step in range(first, args.steps):
            batch = phrases[step]
            for group in optimizer.param_groups:
                group["lr"] = rate(step, args.steps, args.cool_down)
            logits_BNV = model(batch.src_BS, batch.src_BS != 0, batch.input_BN)
            label = F.cross_entropy(
                logits_BNV.flatten(0, 1), batch.label_BN.flatten(), ignore_index=0, label_smoothing=0.1
            )
            guided = guide.loss(batch)
            (label + GUIDE_WEIGHT * guided).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            for name, value in (("label", label), ("guide", guided)):
                average[name] += (value.item() - average[name]) / min(step - first + 1, 50)
            done = step + 1
            if done % 50 == 0:
                pace = (time.monotonic() - started) / (done - first)
                line = f"step {done}  loss {average['label']:.3f}  guide {average['guide']:.3f}  {pace:.2f} s/step"
                progress.console.print(line)
            progress.update(bar, completed=done)
            if done % 200 == 0 or done in (turn, args.steps):
                save(
                    {
                        "step": done,
                        "steps": args.steps,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                    },
                    constant if done <= turn else cooled,
                )


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path("results/train"), help="checkpoints, resumed from here")
    parser.add_argument("--steps", type=int, default=12000, help="steps in all (default 12000)")
    parser.add_argument("--cool-down", type=int, default=2500, help="last steps, rate to zero (default 2500)")
    parser.add_argument("--tokens", type=int, default=4000, help="tokens a batch, both sides (default 4000)")
    parser.add_argument("--max-words", type=int, default=34, help="words in a phrase, at most (default 34)")
    parser.add_argument("--dropout", type=float, default=0.1, help="dropout (default 0.1)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and dropout (default 0)")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
