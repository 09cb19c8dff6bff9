"""Types and ranges of the fields in a run folder's files. A value outside its range cannot come from a measurement."""

from __future__ import annotations

import math
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, AllowInfNan, BeforeValidator

from ..words.labels import is_file_name, plain

EXACT: dict[str, Any] = {"extra": "forbid"}
"""pydantic's settings of a record: a field that this version does not know is an error."""
MOST = 1 << 62
"""Greatest count of FLOPs or bytes: more than any run has, and few enough for a table's column of 64-bit integers."""
Count = Annotated[int, Ge(0), Le(MOST)]
Size = Annotated[int, Ge(1), Le(1 << 31)]
Amount = Annotated[float, AllowInfNan(False), Ge(0)]
Speed = Annotated[float, AllowInfNan(False), Gt(0), Lt(1e30)]
Seconds = Annotated[float, AllowInfNan(False), Ge(0), Le(1e9)]
Number = Annotated[float, AllowInfNan(False)]
Share = Annotated[float, AllowInfNan(False), Ge(0), Le(1)]
Error = Annotated[float | None, BeforeValidator(lambda value: None if _is_infinite(value) else value)]
Mark = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


def _is_infinite(value: object) -> bool:
    """Whether a value is NaN or infinite, which earlier versions wrote."""
    return isinstance(value, float) and not math.isfinite(value)


def _file_name(text: str) -> str:
    """Return the text unchanged. Raises ValueError if it is not the name of one file or folder within a folder."""
    if not is_file_name(text):
        raise ValueError(f"{text[:60]!r} is not the name of a folder")
    return text


def _label(text: str) -> str:
    """Return the text unchanged. Raises ValueError for a label that no strategy or contender can have."""
    if not text or plain(text) != text:
        raise ValueError(f"{text[:60]!r} is no label")
    return text


def _ascending(marks_s: list[float]) -> list[float]:
    """Return the marks unchanged. Raises ValueError unless they start at zero, never decrease, and end in a known time.

    NaN stands for a mark that could not be taken; only the last mark may not be NaN.
    """
    known = [mark for mark in marks_s if not math.isnan(mark)]
    if marks_s[0] != 0 or math.isnan(marks_s[-1]) or known != sorted(known) or not 1e-9 <= known[-1] <= 1e9:
        raise ValueError("marks are not seconds in ascending order from 0")
    return marks_s


CellId = Annotated[str, AfterValidator(_file_name)]
Label = Annotated[str, AfterValidator(_label)]
Marks = Annotated[list[Mark], MinLen(3), AfterValidator(_ascending)]
