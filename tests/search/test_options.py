"""Options of searches: what each refuses when it is made from Python, and what it needs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from strategies.models.mistake import Mistake
from strategies.search.options import SEARCHES, Beam, Sample, SearchError

NAN = float("nan")
INF = float("inf")


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *(("beam", "num_beams", value) for value in (0, -1, 2.0, True, "4", None)),
        *(("beam", "length_penalty", value) for value in (NAN, INF, "1", None, True)),
        *(("beam", "early_stopping", value) for value in (True, False, None, "sometimes", ["true"])),
        *(("beam", "num_return", value) for value in (0, 5, 1.0, True, None)),
        *(("sample", "temperature", value) for value in (0, -1.0, NAN, INF, "1", True)),
        *(("sample", "top_k", value) for value in (-1, 1.0, True, None)),
        *(("sample", "top_p", value) for value in (0, -0.1, 1.01, 2, NAN, "0.9", True)),
    ],
)
def test_a_value_that_no_search_could_have_is_refused_in_one_line(kind: str, name: str, value: Any) -> None:
    with pytest.raises(SearchError) as raised:
        SEARCHES[kind](**{name: value})
    message = str(raised.value)
    assert isinstance(raised.value, Mistake)
    assert message.startswith(f"{name}={value!r} is not allowed; give ")
    assert "\n" not in message


def test_more_sequences_than_beams_are_refused_with_both_remedies() -> None:
    message = "num_return=3 is not allowed; give a whole number of at least 1 and at most num_beams=2, or more beams"
    with pytest.raises(SearchError, match=message):
        Beam(num_beams=2, num_return=3)


def test_whole_numbers_serve_where_a_number_is_asked_for() -> None:
    assert Beam(2, length_penalty=-1).length_penalty == -1
    assert Sample(temperature=2, top_p=1) == Sample(temperature=2.0, top_p=1.0)


def test_options_are_known_without_torch() -> None:
    program = "import sys, strategies.search.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
