"""The tools of a page: the slider over a decoder layer and the memory calculator, as data for the page's own script."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..settings.own_package import CONF
from ..settings.search import search_from
from ..store.files import exists, read_text
from ..store.schema import read_environment
from ..words.comparison import names_of
from ..words.labels import short
from ..words.search_told import is_beam

if TYPE_CHECKING:
    from strategies import ModelConfig, Strategy
    from strategies.search.options import Search

ROOM_GIB = 16.0
"""Memory that the calculator starts with where a run did not record its own."""
GREEDY = search_from(None)
SIDES = ("full_recompute", "contiguous_kv")
GIB = 1 << 30


def tools_of_cell(cell: Mapping[str, Any], labels: Sequence[str], sides: Sequence[str]) -> dict[str, Any] | None:
    """Make the data for the model of a cell. ``cell`` is the content of cell.json, ``labels`` the run's strategies.

    ``sides`` are the two strategies that the slider shows first. Strategies that are not known here are left out, and
    the basic ones added. None if cell.json has no sizes of the model, as in folders of earlier versions.
    """
    from strategies import ModelConfig, StrategyError, parse
    from strategies.strategy import CORE

    try:
        config = ModelConfig(**cell["model_config"])
    except (KeyError, TypeError):  # sizes of another version, or none
        return None
    strategies = []
    for label in dict.fromkeys([*labels, *CORE]):
        try:
            strategies.append(parse(label))
        except StrategyError:
            continue
    lengths = {"B": int(cell["batch_size"]), "S": int(cell["src_len"]), "N": int(cell["tgt_len"])}
    padded = len(set(cell.get("src_lens", []))) > 1
    room = float(cell["memory_bytes"]) / GIB if cell.get("memory_bytes") else ROOM_GIB
    name = str(cell.get("model", {}).get("name", "model"))
    dtype, search = str(cell["dtype"]), search_from(cell.get("search"))
    return model_data(name, short(name), config, strategies, lengths, sides, dtype, room, padded, search)


def cell_of_config(run_dir: Path, row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Describe the cell of a row by config.yaml and environment.json, for a folder that keeps no cells.

    The result has the keys of cell.json that ``tools_of_cell`` and ``ledger_of`` read. It is empty if config.yaml is
    missing or damaged, describes another model, or names a checkpoint, whose sizes it does not hold.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from strategies import ModelError, ModelSpec, config_of

    path = run_dir / "config.yaml"
    if not exists(path):
        return {}
    try:
        told: Any = OmegaConf.to_container(OmegaConf.create(read_text(path)), resolve=False)
        spec = ModelSpec.of(told["model"])
        if spec.name != row["model"] or spec.source == "checkpoint":
            return {}
        config = config_of(spec)
    except (ModelError, OmegaConfBaseException, YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return {}
    environment = read_environment(run_dir)
    gpu = (environment.get("gpu") or {}) if row["device"] == "cuda" else {}
    limit: Any = environment.get("memory_limit") or {}
    room = gpu.get("memory_bytes") or limit.get("amount") or environment.get("memory_bytes")
    kept = {name: row[name] for name in ("batch_size", "src_len", "tgt_len", "dtype", "weights")}
    beams = {"search": {"kind": "beam", "num_beams": int(row["num_beams"])}} if is_beam(row.get("search")) else {}
    return {
        **kept, **beams, "model": {"name": spec.name}, "model_config": dataclasses.asdict(config),
        "memory_bytes": room,
    }  # fmt: skip


def model_data(
    name: str,
    title: str,
    config: ModelConfig,
    strategies: Sequence[Strategy],
    lengths: Mapping[str, int],
    sides: Sequence[str] = SIDES,
    dtype: str = "fp32",
    room_gib: float = ROOM_GIB,
    padded: bool = False,
    search: Search = GREEDY,
) -> dict[str, Any]:
    """Make the data of one model. ``lengths`` are B, S and N at the start; ``room_gib`` is the memory there is.

    ``search`` is how the next tokens are chosen.
    """
    from ..ledger.exported import LONGEST, layer_letters
    from ..ledger.table import default_step
    from ..work.peak_letters import peak_formula, weight_bytes_by_dtype

    start = {letter: max(1, min(number, LONGEST)) for letter, number in lengths.items()}
    layer = layer_letters(config, strategies, search.width)
    known = [one["label"] for one in layer["strategies"]]
    wanted = [side for side in dict.fromkeys([*sides, *SIDES, *known]) if side in known]
    formulas = [found for strategy in strategies if (found := peak_formula(config, strategy, padded, search))]
    return {
        "name": name,
        "title": title,
        "layer": layer,
        "longest": LONGEST,
        "first": config.prefix_len,
        "start": start | {"k": default_step(config.target_rows(start["N"]), config.prefix_len)},
        "sides": (wanted * 2)[:2],
        "names": names_of([strategy.label for strategy in strategies]),
        "memory": {
            "formulas": [dataclasses.asdict(formula) for formula in formulas],
            "weights": weight_bytes_by_dtype(config),
            "dtype": dtype,
            "gib": float(f"{room_gib:.6g}"),
        },
    }


def models_of_conf(names: Sequence[str]) -> list[dict[str, Any]]:
    """Make the data of models of the folder ``conf/model``, for a page that belongs to no run."""
    from omegaconf import OmegaConf

    from strategies import ModelSpec, config_of, parse
    from strategies.strategy import CORE

    found = []
    for name in names:
        told: Any = OmegaConf.to_container(OmegaConf.create(read_text(CONF / "model" / f"{name}.yaml")))
        spec = ModelSpec.of(told)
        config = config_of(spec)
        src_len = 256 if config.mel_bins is None else config.src_positions or 256
        lengths = {"B": 1, "S": src_len, "N": 256}
        found.append(model_data(spec.name, spec.name, config, [parse(label) for label in CORE], lengths))
    return found
