"""The decision card of the reference run, as the README shows it: ``python -m tests.reference_card`` writes it anew."""

from __future__ import annotations

import json
import re
from itertools import chain

from suites.store.schema import read_run_entry
from suites.tables.table_files import read_tables
from suites.telling.card import cards
from tests.command import ROOT

README = ROOT / "README.md"
REFERENCE = ROOT / "results" / "reference" / "cpu"
BLOCK = re.compile(
    r"(?<=<!-- The decision card of results/reference/cpu: begin -->\n).*?"
    r"(?=^<!-- The decision card of results/reference/cpu: end -->$)",
    re.MULTILINE | re.DOTALL,
)


def quoted() -> str:
    """The card as a quotation in Markdown: the pick in bold, the command as code."""
    table, _ = read_tables(REFERENCE)
    noises = json.loads((REFERENCE / "noise.json").read_text("utf-8"))
    command = read_run_entry(REFERENCE)["command"]
    first, *others = (
        re.sub(r"python -m suites .*", r"`\g<0>`", line) for line in chain(*cards(table, noises, command))
    )
    return "\n>\n".join(f"> {line}" for line in [f"**{first}**", *others]) + "\n\n"


def main() -> None:
    """Put the card into the README, in place of the one that is there."""
    text = quoted()
    README.write_text(BLOCK.sub(lambda _: text, README.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
