"""Turns a label into the name of a file or a folder."""

from __future__ import annotations

import hashlib
import re

LONGEST = 80


def slug(label: str) -> str:
    """Keep the letters, digits and ``_.-`` of a label and replace everything between them by hyphens.

    A result that is cut to ``LONGEST`` characters, or would be empty, ends in a digest of the whole label.

    >>> slug("static_kv(capacity=64,read=buffer)"), slug("../x")
    ('static_kv-capacity-64-read-buffer', 'x')
    """
    plain = re.sub(r"[^\w.-]+", "-", label, flags=re.ASCII).strip("-.")
    if plain and len(plain) <= LONGEST:
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(label.encode(errors='backslashreplace')).hexdigest()[:8]}".lstrip("-")
