"""The page itself: Markdown from the walk and the ledger, and as one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import re
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

from strategies.strategy import registry

from ..ledger.column import at_step, columns, letters
from ..ledger.expected import TRAINING
from ..ledger.symbols import LETTERS
from ..ledger.view import answer
from ..plots.ledger import Picture
from ..words.quantity import counted, quantity
from .walk import Walk


@dataclass(frozen=True)
class Products:
    """Looks up single products of a ledger, for the template."""

    ledger: pd.DataFrame

    def _row(self, strategy: str, role: str, k: int | None) -> pd.Series[Any]:
        mine = self.ledger[(self.ledger["strategy"] == strategy) & (self.ledger["role"] == role)]
        at = mine[mine["phase"] != "step"] if k is None else mine[mine["k"] == k]
        return at.iloc[0]

    def numbers(self, strategy: str, role: str, k: int | None = None) -> str:
        """``[4,1,48] x [4,48,3]``, as code."""
        return f"`{self._row(strategy, role, k)['shape_numbers']}`"

    def shape(self, strategy: str, role: str, k: int | None = None) -> str:
        """The shape in letters, then in numbers, as code."""
        row = self._row(strategy, role, k)
        return f"`{row['shape']}` = `{row['shape_numbers']}`"

    def _step(self, strategy: str, k: int) -> pd.DataFrame:
        of_k = self.ledger[(self.ledger["strategy"] == strategy) & (self.ledger["k"] == k)]
        return of_k[of_k["kind"] != "copy"]

    def step_flops(self, strategy: str, k: int) -> str:
        """FLOPs of a whole step."""
        step = self._step(strategy, k)
        return quantity(float((step["flops"] * step["count"]).sum()), "")

    def growing_flops(self, strategy: str, k: int) -> str:
        """FLOPs of the products of a step that grow with k."""
        step = self._step(strategy, k)
        step = step[step["grows_with"].str.contains("k")]
        return quantity(float((step["flops"] * step["count"]).sum()), "")

    def share(self, strategy: str, role: str, k: int) -> str:
        """Share of one product in the FLOPs of a step."""
        step = self._step(strategy, k)
        work = step["flops"] * step["count"]
        return f"{work[step['role'] == role].sum() / work.sum():.0%}"

    def strategies(self, k: int) -> list[dict[str, Any]]:
        """One line per strategy at step k."""
        rows = []
        for label in dict.fromkeys(self.ledger["strategy"]):
            if label == TRAINING:
                continue
            step, scores = self._step(label, k), self._row(label, "self.scores", k)
            prefill = self.ledger[(self.ledger["strategy"] == label) & (self.ledger["phase"] == "prefill")]
            growing = step["grows_with"].str.contains("k")
            rows.append(
                {
                    "label": label,
                    "is_approximate": is_approximate(label),
                    "prefill_rows": prefill.loc[prefill["role"] == "self.qkv", "rows"].sum(),
                    "rows": scores["rows"],
                    "scores": scores["shape"],
                    "spans": scores["cols"],
                    "growing": growing.sum(),
                    "products": len(step),
                    "flops": self.step_flops(label, k),
                }
            )
        return rows


def is_approximate(label: str) -> bool:
    """Whether the strategy of that label is approximate; False where it is not known here.

    >>> is_approximate("sliding_kv(window=8)"), is_approximate("static_kv")
    (True, False)
    """
    entry = registry().get(label.partition("(")[0])
    return entry is not None and not entry.strategy.exact


def shown_steps(steps: int, k: int) -> list[int]:
    """Steps 1, 2, 3 and k, as far as they exist.

    >>> shown_steps(2, 2), shown_steps(30, 12)
    ([1, 2], [1, 2, 3, 12])
    """
    return sorted({i for i in (1, 2, 3, k) if i <= steps})


def filled(text: str, indent: str = "") -> str:
    """Fill one paragraph to lines of at most 120 characters; all but the first start with ``indent``.

    >>> filled("many  words\\nin a paragraph")
    'many words in a paragraph'
    """
    words = " ".join(text.split())
    return textwrap.fill(words, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def quoted(text: str) -> str:
    """A text as one argument of a shell.

    >>> quoted("two words"), quoted("it costs $5")
    ('"two words"', "'it costs $5'")
    """
    return shlex.quote(text) if set(text) & set('"$`!\\\\') else f'"{text}"'


def code(text: str) -> str:
    """Mark a text as code in Markdown, also where it holds backticks.

    >>> code("a"), code("`")
    ('`a`', '`` ` ``')
    """
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if len(fence) == 1 else f"{fence} {text} {fence}"


def markdown_page(
    phrase: str, walk: Walk, ledger: pd.DataFrame, k: int, cached: str, full: str, pictures: Sequence[Picture]
) -> str:
    """Return the page as Markdown, with links to pictures in plots/.

    ``cached`` and ``full`` are the labels of the strategy that the walk used and of full recompute.
    """
    source = len(walk.source)
    ledger = ledger[ledger["src_len"] == source]
    rows, products = at_step(ledger, k, source), Products(ledger)
    sizes = letters(rows) | ({"P": len(walk.prefix)} if len(walk.prefix) > 1 else {})
    sizes = {letter: sizes[letter] for letter in LETTERS if letter in sizes}
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters |= {"code": code, "cell": lambda text: code(text).replace("|", r"\|"), "fill": filled}
    environment.filters["quoted"] = quoted
    template = environment.from_string(files("suites.explain").joinpath("page.md.jinja").read_text("utf-8"))
    return template.render(
        phrase=" ".join(phrase.split()),
        walk=walk,
        k=k,
        S=source,
        N=len(walk.output),
        V=sizes["V"],
        C=len(walk.prefix) - 1 + len(walk.output),
        cached=cached,
        full=full,
        answer=answer([c for c in columns(rows) if cached in c.labels]),
        legend=", ".join(f"{letter} = {number} ({LETTERS[letter]})" for letter, number in sizes.items()),
        shown=[walk.steps[i - 1] for i in shown_steps(len(walk.steps), k - len(walk.prefix) + 1)],
        strategies=products.strategies(k),
        difference=f"{walk.difference:.1e}",
        picture={picture.name: picture for picture in pictures},
        counted=counted,
        shape=products.shape,
        numbers=products.numbers,
        share=products.share,
        step_flops=products.step_flops,
        growing_flops=products.growing_flops,
    )


def html_page(markdown: str, folder: Path) -> str:
    """Return the page as one HTML file that needs no other file: pictures in ``folder`` are embedded."""

    def inside(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}"'

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub(r'src="([^":]+\.png)"', inside, body)
    title = re.sub(r"^# ", "", markdown.split("\n", 1)[0])
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=True)
    skeleton = environment.from_string(files("suites.explain").joinpath("page.html.jinja").read_text("utf-8"))
    return skeleton.render(title=title, body=body)
