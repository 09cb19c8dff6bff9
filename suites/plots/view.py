"""The part of a run's tables that one set of plots shows, and the axis along which it was swept."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from ..store.records import Round
from ..tables.exactness import rankable
from ..tables.executions import BEST, by_execution
from ..words.comparison import names_of, spoken
from ..words.labels import short, shortened
from ..words.quantity import counted
from ..words.search_told import batch_told, is_beam, sentences_told, source_told
from .looks import NOT_DRAWN, Look
from .panels import first_middle_last
from .style import Legend
from .swept import axis_of, panel_named, panels_kind, place_on, rest_of


@dataclass(frozen=True)
class View:
    """The measured cases of one group: rows of the tables of cases, steps and roles, and how they are drawn.

    ``foot`` names model, type and machine below a plot; ``suffix`` ends the names of its files. ``broken`` maps each
    strategy that has cases without a measurement to the status of these.
    """

    table: pd.DataFrame
    steps: pd.DataFrame
    foot: str
    suffix: str
    looks: dict[str, Look]
    broken: dict[str, str]
    roles: pd.DataFrame
    timed: Sequence[Round] = ()
    """Rounds of the last cell (``last_rows``); none where the folder does not keep them."""
    hardware: str = ""
    """Name of the CPU or GPU, where the run has cells on several kinds (``tables.groups.hardware_named``)."""
    lost: pd.DataFrame | None = None
    """Rows of the cases without a measurement; None if these are not known."""
    approximate: frozenset[str] = frozenset()
    """Labels of the approximate strategies of the whole table."""

    @property
    def strategies(self) -> list[str]:
        """Labels of the measured strategies, in the order of the table."""
        return list(dict.fromkeys(self.table["strategy"]))

    def having(self, column: str) -> View:
        """Keep the cases for which ``column`` is known. FLOPs and K/V, for example, are not known for contenders."""
        rows = self.table[self.table[column].notna()]
        steps = self.steps[self.steps["strategy"].isin(rows["strategy"])]
        return replace(self, table=rows, steps=steps)

    @property
    def ranked(self) -> View:
        """Keep what a message may rank: the exact strategies, or all where none is exact."""
        rows = rankable(self.table)
        names = set(rows["strategy"])
        steps, sums = (found[found["strategy"].isin(names)] for found in (self.steps, self.roles))
        return replace(self, table=rows, steps=steps, roles=sums)

    @property
    def sets_aside(self) -> bool:
        """Whether approximate strategies stand beside exact ones, so that ``ranked`` leaves them out."""
        return len(rankable(self.table)) < len(self.table)

    def by_execution(self) -> list[tuple[str, View]]:
        """Return (suffix of a file's name, view) for equal execution and for each strategy at its best.

        There is one entry if every strategy was executed eagerly, or if one of the two comparisons has nothing timed.
        """
        found = []
        for title, rows in by_execution(self.table):
            suffix = "_best" if title == BEST else ""
            steps = self.steps.merge(rows[["cell", "strategy"]])
            foot = f"{self.foot} {title.capitalize()}." if title else self.foot
            found.append((suffix, replace(self, table=rows, steps=steps, foot=foot)))
        return found

    def name(self, strategy: Any) -> str:
        """Name of a strategy in a legend. It says so if it is approximate, or if some cases were not measured."""
        names = list(names_of(list(self.looks)).values())
        shown = dict(zip(self.looks, shortened(names), strict=True)).get(str(strategy), str(strategy))
        remarks = ["approximate"] if strategy in self.approximate else []
        remarks += [f"some {self.broken[strategy]}"] if strategy in self.broken else []
        return f"{shown} ({', '.join(remarks)})" if remarks else shown

    def spoken(self, strategy: Any) -> str:
        """Name of a strategy in a message (``words.comparison.spoken``). It says so if it is approximate."""
        told = spoken(str(strategy))
        return f"{told} (approximate)" if strategy in self.approximate else told

    def legend(self, notes: Mapping[str, str] | None = None, title: str = "") -> Legend:
        """Legend of every strategy, with its note after the name, and of strategies that have nothing to draw."""
        entries = [(self.name(s) + (notes or {}).get(s, ""), self.looks[s].line()) for s in self.strategies]
        return Legend([*entries, *(self.absent.entries if self.absent else [])], title)

    def within(self, cells: Iterable[str]) -> View:
        """Keep the cases of these cells, for what is said of a plot that shows no others."""
        return replace(self, table=self.table[self.table["cell"].isin(list(cells))])

    @property
    def disturbed_by(self) -> str:
        """What may have spoiled times of the view, in words; "" where no cell was disturbed, or that is not known."""
        told = self.table["disturbed_by"]
        return " or ".join(dict.fromkeys(kind for text in told[told != ""].unique() for kind in text.split(", ")))

    @property
    def disturbed_note(self) -> str:
        """Sentence on hollow marks, for the foot of a plot; "" where no cell was disturbed."""
        return f" Hollow marks: {self.disturbed_by} may have spoiled these times." if self.disturbed_by else ""

    @property
    def absent(self) -> Legend | None:
        """Legend of the strategies that have nothing to draw; None if there are none."""
        lost = [s for s in self.broken if s not in self.strategies]
        return Legend([(f"{short(s)}: {self.broken[s]}", NOT_DRAWN.line()) for s in lost]) if lost else None

    @property
    def rounds(self) -> str:
        """Sentence on the number of rounds, for the foot of a plot that shows times."""
        low, high = int(self.table["rounds"].min()), int(self.table["rounds"].max())
        return f"Medians over {low if low == high else f'{low} to {high}'} rounds."

    @property
    def axis(self) -> tuple[str, str]:
        """(column, label) of what was swept (``swept.axis_of``)."""
        return axis_of(self.table)

    @property
    def is_swept(self) -> bool:
        """Whether there is more than one point on the axis; if not, the view is of one cell."""
        return bool(self.table[self.axis[0]].nunique() > 1)

    def at(self, value: float, panel: str = "") -> str:
        """Name a place on the axis in words: "64 tokens, batch 8", with beams "64 tokens, batch 8, 4 beams"."""
        return ", ".join(filter(None, (place_on(self.axis[0], value), panel, self.beams)))

    @property
    def beams(self) -> str:
        """The number of beams in words, where every case has as many; "" where it varies, and without beam search."""
        return beams_of(self.table)

    @property
    def panels(self) -> list[tuple[str, pd.DataFrame]]:
        """The first, a middle and the last of ``every_panel``, without repetition."""
        return first_middle_last(self.every_panel)

    @property
    def last_rows(self) -> pd.DataFrame:
        """Rows of the last cell: the last panel's cell at the last point of the axis."""
        column, _ = self.axis
        rows = self.panels[-1][1]
        rows = rows[rows[column] == rows[column].max()]
        return rows[rows["cell"] == rows["cell"].iloc[0]]

    @staticmethod
    def sizes(case: Mapping[Hashable, Any] | pd.Series) -> str:
        """Sentence on the sizes of one case, for the foot of a plot of a single cell."""
        return f"Source {source_told(case)}, target {case['tgt_len']} tokens, {batch_told(case)}{sentences_told(case)}."

    @property
    def every_panel(self) -> list[tuple[str, pd.DataFrame]]:
        """(title, rows) for each part of the table, which is divided by what varies besides the axis."""
        rest = self._rest
        if not rest:
            return [("", self.table)]
        return [(panel_named(rest, key), rows) for key, rows in self.table.groupby(rest)]

    def failed_in(self, part: pd.DataFrame) -> pd.DataFrame:
        """Rows of the failed and invalid cases that belong to a panel, of which ``part`` has the measured rows."""
        if self.lost is None or part.empty:
            return self.table.iloc[:0]
        found = self.lost[self.lost["status"].isin(["failed", "invalid"])]
        found = found[found["execution"].isin(self.table["execution"])]
        for column in self._rest:
            found = found[found[column] == part[column].iloc[0]]
        return found

    @property
    def panel_kind(self) -> str:
        """What the panels are, in the plural: "batches", "sources" or "pairs of batch and source"."""
        return panels_kind(self._rest)

    @property
    def _rest(self) -> list[str]:
        """Columns that vary besides the axis."""
        return rest_of(self.table, self.axis[0])


def beams_of(rows: pd.DataFrame) -> str:
    """The number of beams of rows of one search in words; "" where it varies, and without beam search.

    >>> beams_of(pd.DataFrame({"search": ["beam", "beam"], "num_beams": [4, 4]}))
    '4 beams'
    """
    numbers = set(rows["num_beams"])
    return counted(int(numbers.pop()), "beam") if is_beam(rows["search"].iloc[0]) and len(numbers) == 1 else ""


def has_several(rows: pd.DataFrame) -> bool:
    """Whether some of the rows, of one search, have several beams. Tables of earlier versions do not say."""
    return is_beam(rows["search"].iloc[0]) and bool(rows["num_beams"].max() > 1)
