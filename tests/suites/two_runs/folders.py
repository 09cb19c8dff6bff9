"""Two runs as a user compares them: to change one, to compare, and to read what came of it."""

import json
from pathlib import Path

import pandas as pd

from suites.__main__ import main


def edit(run: Path, column: str, strategy: str, change) -> None:
    table = pd.read_csv(run / "table.csv", keep_default_na=False, dtype=str)
    table.loc[table["strategy"] == strategy, column] = table[column].map(lambda text: str(change(text)))
    table.to_csv(run / "table.csv", index=False)


def edit_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def cells(run: Path) -> list[Path]:
    return sorted(path.parent for path in run.glob("cells/*/cell.json"))


def drop_arm(run: Path, strategy: str) -> None:
    """As if a run had never known of a strategy."""
    for cell in cells(run):
        edit_json(cell / "arms.json", lambda arms: arms.remove(next(x for x in arms if x["strategy"] == strategy)))


def compared(capsys, *arguments: object) -> tuple[int, str]:
    code = main(["compare", *map(str, arguments)])
    return code, " ".join(capsys.readouterr().out.split())


def refused(capsys, *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def rows(out: Path, **wanted: object) -> pd.DataFrame:
    found = pd.read_csv(out / "compare.csv")
    for name, value in wanted.items():
        found = found[found[name] == value]
    return found


def slow_down(run: Path, factor: float, strategy: str = "") -> None:
    """All of a run's times, or those of a strategy."""
    for path in run.glob("cells/*/rounds.jsonl"):
        rounds = [json.loads(line) for line in path.read_text().splitlines()]
        for one in rounds:
            if "marks_s" in one and strategy in ("", one["strategy"]):
                one["marks_s"] = [mark * factor for mark in one["marks_s"]]
        path.write_text("".join(json.dumps(one) + "\n" for one in rounds))
