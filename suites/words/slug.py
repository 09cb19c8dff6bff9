"""A label as the name of a file or a folder."""

from __future__ import annotations

import hashlib
import re

LONGEST = 80


def slug(label: str) -> str:
    """Letters, digits and ``_.-`` of a label; one that is cut, or holds nothing else, ends in a digest of all of it.

    >>> slug("static_kv(capacity=64,read=buffer)"), slug("../x")
    ('static_kv-capacity-64-read-buffer', 'x')
    """
    plain = re.sub(r"[^\w.-]+", "-", label, flags=re.ASCII).strip("-.")
    if plain and len(plain) <= LONGEST:
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(label.encode(errors='backslashreplace')).hexdigest()[:8]}".lstrip("-")
