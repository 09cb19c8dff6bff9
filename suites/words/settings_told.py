"""Which kernels, types and search a case uses where they are not the default ones, in words."""

from __future__ import annotations

from typing import Any, Protocol


class Named(Protocol):
    """What has values by name: a dictionary, or a row of a table."""

    def __getitem__(self, name: str, /) -> Any: ...


def changed_settings(case: Named) -> list[str]:
    """List what differs from the default in a cell or in a row of the table of cases, each as its key and value.

    >>> case = {"dtype": "fp32", "linear": "mkl", "weights": "fp32", "attention": "auto", "tf32": "true"}
    >>> changed_settings({**case, "search": "beam"})
    ['linear=mkl', 'tf32=true', 'search=beam']
    """
    default = {
        "linear": ("torch",),
        "weights": ("", case["dtype"]),
        "attention": ("auto",),
        "tf32": (False, "false"),
        "search": ("", "greedy"),
    }
    return [f"{key}={str(case[key]).lower()}" for key, plain in default.items() if case[key] not in plain]
