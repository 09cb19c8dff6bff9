"""What may happen to a file of a run folder: cut, lost, or with a foreign value in any place."""

import csv
import io
import json
from pathlib import Path

from hypothesis import strategies as st

HUGE = 10**400
VALUES = [
    None, True, False, 0, 1, -1, 3, 0.5, -0.0, -2.5, 2**31, 2**63, 2**70, HUGE, 5e-324, 1e-300, 1e300, float("nan"),
    float("inf"), -float("inf"), "", "ok", "great", "1", "1e5", "nan", "../x", "/abs", "..", "a/b", "\x00", "[/red]",
    "a$b_{$x", "=1+1", "'=1", "a\nb", "\x1b[2J", "\udcff", "😀" * 99, "x" * 300, [], {}, [[]], [0], [1, 2],
    [0, 2.0, 1.0], {"a": 1}, [None],
]  # fmt: skip
"""Of every type, and at the edge of every range."""


def places(content: object, so_far: tuple = ()) -> list[tuple]:
    """The path of every value in a JSON value, of long lists the first two and the last."""
    if isinstance(content, dict):
        inner = list(content.items())
    elif isinstance(content, list):
        inner = [(i, content[i]) for i in sorted({0, 1, len(content) - 1}) if 0 <= i < len(content)]
    else:
        inner = []
    return [so_far, *(place for key, value in inner for place in places(value, (*so_far, key)))]


def changed(content: object, place: tuple, change) -> object:
    """``content`` with ``change`` applied to what holds ``place[-1]``, as a copy."""
    copy = dict(content) if isinstance(content, dict) else list(content)
    if len(place) == 1:
        change(copy, place[0])
    else:
        copy[place[0]] = changed(copy[place[0]], place[1:], change)
    return copy


def damaged_json(draw, text: str) -> str:
    content = json.loads(text)
    where = places(content)
    place = where[draw(st.integers(0, len(where) - 1))]
    if not place:
        return json.dumps(draw(st.sampled_from(VALUES[:-1])))
    kind = draw(st.sampled_from(["set", "set", "set", "drop", "add", "swap"]))
    value = draw(st.sampled_from(VALUES))
    other = where[draw(st.integers(0, len(where) - 1))]

    def change(holder, key):
        if kind == "set":
            holder[key] = value
        elif kind == "drop":
            del holder[key]
        elif kind == "add" and isinstance(holder, list):
            holder.insert(key, value)
        elif kind == "add":
            holder["another"] = value
        else:
            holder[key] = at(content, other)

    return json.dumps(changed(content, place, change))


def at(content, place):
    for key in place:
        content = content[key]
    return content


def damaged_lines(draw, text: str) -> str:
    lines = text.splitlines()
    i = draw(st.integers(0, len(lines) - 1))
    if draw(st.booleans()):
        lines[i] = damaged_json(draw, lines[i])
    else:
        damaged_order(draw, lines, i)
    return "\n".join(lines) + "\n"


def damaged_order(draw, rows: list, i: int) -> None:
    kind = draw(st.sampled_from(["drop", "twice", "last", "half"]))
    if kind == "drop":
        del rows[i]
    elif kind == "twice":
        rows.append(rows[i])
    elif kind == "last":
        rows.append(rows.pop(i))
    else:
        del rows[i:]


def damaged_csv(draw, text: str) -> str:
    rows = list(csv.reader(io.StringIO(text)))
    i, j = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
    kind = draw(st.sampled_from(["set", "set", "set", "column", "value", "order", "short"]))
    if kind == "set":
        rows[i][j] = as_cell(draw(st.sampled_from(VALUES)))
    elif kind == "value":
        value = as_cell(draw(st.sampled_from(VALUES)))
        rows[1:] = [[*row[:j], value, *row[j + 1 :]] for row in rows[1:]]
    elif kind == "column":
        rows = [row[:j] + row[j + 1 :] for row in rows]
    elif kind == "order":
        damaged_order(draw, rows, i)
    else:
        rows[i] = rows[i][:j]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def as_cell(value: object) -> str:
    return "" if value is None else str(value)[:400]


DAMAGE = {".json": damaged_json, ".jsonl": damaged_lines, ".csv": damaged_csv}


@st.composite
def damages(draw, files: dict[Path, bytes]) -> dict[Path, bytes | None]:
    """What becomes of one or two files; None: it is gone."""
    found: dict[Path, bytes | None] = {}
    for path in draw(st.lists(st.sampled_from(sorted(files)), min_size=1, max_size=2, unique=True)):
        whole = files[path]
        kind = draw(st.sampled_from(["inside", "inside", "inside", "inside", "gone", "cut", "bytes"]))
        if kind == "inside" and path.suffix in DAMAGE:
            text = DAMAGE[path.suffix](draw, whole.decode())
            found[path] = text.encode(errors="surrogateescape")
        elif kind == "gone":
            found[path] = None
        elif kind == "cut":
            found[path] = whole[: draw(st.integers(0, len(whole)))]
        else:
            start = draw(st.integers(0, len(whole)))
            found[path] = whole[:start] + draw(st.binary(min_size=1, max_size=9)) + whole[start + 9 :]
    return found
