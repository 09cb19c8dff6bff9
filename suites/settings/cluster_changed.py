"""A run's ``cluster`` with what was typed beside --resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .catalog import mapping_of
from .cluster import ClusterConfig
from .config import ConfigError
from .effect import why_idle_cluster
from .rules import shown

if TYPE_CHECKING:
    from .argument import Typed


def changed(written: Mapping[str, Any], typed: Mapping[str, Typed]) -> ClusterConfig:
    """Return the cluster that run.json holds with the file and the keys that were typed, whose values are checked.

    Raises ConfigError for a key that has no effect there.
    """
    known = {field.name for field in dataclasses.fields(ClusterConfig)}
    cluster = ClusterConfig(**{name: value for name, value in written.items() if name in known})
    values: dict[str, Any] = {}
    for name, one in typed.items():
        if name == "cluster":
            values = mapping_of("cluster", one.values[0]) | values
        else:
            values[name.removeprefix("cluster.")] = one.values[0]
    found = dataclasses.replace(cluster, **values)
    for name, one in typed.items():
        if name != "cluster" and (why := why_idle_cluster(name, found)):
            raise ConfigError(f"{name}={shown(one.text)} has no effect {why}")
    return found
