"""A strategy is one file: dropped into the package it is found, and held to the whole conformance kit.

Faulty copies, each with one small mistake, are dropped in beside: the kit must refuse every one.
"""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.command import ROOT, conformance_kit, copy_packages

PAGED, POOLED = ((ROOT / f"tests/drop_ins/{name}_kv.py").read_text() for name in ("paged", "pooled"))
DOUBLING = '''\
"""Self-attention K/V in a buffer that doubles when it is full."""

from dataclasses import dataclass

import torch

from .strategy import Strategy, register


class DoublingStore:
    past_only = True

    def __init__(self, shape):
        self._size = shape.batch, shape.heads, 1, shape.head_size
        self._like = dict(dtype=shape.dtype, device=shape.device)
        self.reset()

    def reset(self):
        self._k, self._v = torch.empty(self._size, **self._like), torch.empty(self._size, **self._like)

    def append(self, k_BHTK, v_BHTK, step):
        self._k, self._v = (self._write(*pair, step) for pair in ((self._k, k_BHTK), (self._v, v_BHTK)))
        return self._k[:, :, : step.length], self._v[:, :, : step.length]

    def _write(self, held, new, step):
        batch, heads, capacity, size = held.shape
        if step.length > capacity:
            larger = held.new_empty(batch, heads, 2 * capacity, size)
            larger[:, :, :capacity] = held
            held = larger
        held[:, :, step.query_offset : step.length] = new
        return held

    def key_position_M(self, step):
        return torch.arange(step.length, device=self._k.device)

    def nbytes(self, length):
        reserved = 2 * self._k.nbytes
        return reserved, reserved // self._k.shape[2] * length


@register("doubling_kv")
@dataclass(frozen=True)
class DoublingKV(Strategy):
    """Self-attention K/V in a buffer that doubles when it is full."""

    def self_kv(self, shape):
        return DoublingStore(shape)

    def rows_reserved(self, k):
        return 1 << (k - 1).bit_length()

    def rows_copied(self, k):
        return k - 1 if k > 1 and self.rows_reserved(k) > self.rows_reserved(k - 1) else 0
'''

RIGHT = ["doubling_kv", "pooled_kv"]

A_BLOCK_MORE = "            size = (*k_BGTK"
LOSES_THE_OTHERS = "self._pages = [tuple(map(torch.zeros_like, page)) for page in self._pages]"

# The name of a faulty copy -> the text that makes it so, and a test that has to fail.
FAULTS = {
    "writes_one_place_too_late": (
        "held[:, :, step.query_offset : step.length] = new",
        "held[:, :, min(step.length, held.shape[2] - 1)] = new[:, :, 0]",
        "test_logits_equal_full_recompute_at_every_step",
    ),
    "remembers_the_last_batch": (
        "self._k, self._v = torch.empty(self._size, **self._like), torch.empty(self._size, **self._like)",
        "self._k, self._v = getattr(self, '_k', torch.ones(self._size)), getattr(self, '_v', torch.ones(self._size))",
        "test_reserved_and_used_bytes_are_those_of_the_formulas",
    ),
    "moves_rows_undeclared": (
        "return k - 1 if",
        "return 0 if",
        "test_recorded_products_and_bytes_are_those_of_the_formulas",
    ),
    "reads_more_keys_than_declared": (
        "return self._k[:, :, : step.length], self._v[:, :, : step.length]",
        "return self._k, self._v",
        "test_recorded_products_and_bytes_are_those_of_the_formulas",
    ),
    "keeps_what_it_outgrew": (
        "held = larger",
        "self.old, held = [*getattr(self, 'old', []), held], larger",
        "test_live_memory_grows_from_step_to_step_by_the_reserved_rows_and_nothing_else",
    ),
    "claims_to_be_static": (
        "    def rows_copied",
        "    supports = frozenset({'eager', 'graph'})\n\n    def rows_copied",
        "test_a_static_step_keeps_its_addresses_and_allocates_nothing_as_large_as_k_or_v",
    ),
    "loses_all_blocks_but_the_last": (
        A_BLOCK_MORE,
        f"            {LOSES_THE_OTHERS}\n{A_BLOCK_MORE}",
        "test_logits_equal_full_recompute_at_every_step",
    ),
    "loses_them_with_its_default_size": (
        A_BLOCK_MORE,
        f"            if self._block == 16:\n                {LOSES_THE_OTHERS}\n{A_BLOCK_MORE}",
        "test_logits_of_a_long_target_equal_the_teacher_forced_pass",
    ),
    "shares_one_layer_with_all": (
        "self.pool, self.rows_R = pool, pool.rows_LR[layer]",
        "self.pool, self.rows_R = pool, pool.rows_LR[0]",
        "test_logits_equal_full_recompute_at_every_step",
    ),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the packages and of the kit, in which more files disturb nobody."""
    root = copy_packages(tmp_path_factory.mktemp("checkout"))
    (root / "tests").mkdir()
    for file in (ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")):
        shutil.copy(file, root / file.relative_to(ROOT))
    sources = {"doubling_kv": DOUBLING, "paged_kv": PAGED, "pooled_kv": POOLED}
    for name in RIGHT:
        (root / f"strategies/{name}.py").write_text(sources[name])
    for name, (right, wrong, _) in FAULTS.items():
        source = next(source for source in sources.values() if right in source)
        (root / f"strategies/{name}.py").write_text(renamed(source.replace(right, wrong), name))
    # What pip leaves of a package that declares an entry point.
    (root / "elsewhere.py").write_text(
        renamed(DOUBLING, "of_another_package").replace(".strategy", "strategies.strategy")
    )
    metadata = root / "elsewhere-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[decodebench.strategies]\nany = elsewhere\n")
    return root


def renamed(source: str, name: str) -> str:
    return re.sub(r'@register\("\w+"\)', f'@register("{name}")', source)


@pytest.fixture(scope="module")
def outcomes(checkout) -> dict[str, dict[str, bool]]:
    """Strategy -> name of each test that ran on it -> whether it passed, from one run of the kit in the copy."""
    wanted = [f"{name} and {test}" for name, (_, _, test) in FAULTS.items()]
    brief = "pooled_kv and not query and not cross and not capacity"
    wanted = ["doubling_kv", brief, "of_another_package and test_logits_equal", *wanted]
    chosen = f"not transformer2017 and ({' or '.join(wanted)})"
    done = conformance_kit(checkout, "--junitxml=kit.xml", "-k", chosen)
    assert done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), done.stdout + done.stderr
    names = [*RIGHT, "of_another_package", *FAULTS]
    found: dict[str, dict[str, bool]] = {name: {} for name in names}
    for case in ElementTree.parse(checkout / "kit.xml").iter("testcase"):
        test, _, label = case.get("name", "").partition("[")
        (name,) = (name for name in names if name in label)
        found[name][test] = found[name].get(test, True) and case.find("failure") is None
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_a_new_file_is_found_and_passes_every_test_of_the_kit(outcomes, name):
    kit = (ROOT / "tests/test_conformance.py").read_text()
    assert set(outcomes[name]) == set(re.findall(r"def (test_\w+)\(strategy\b", kit))
    assert all(outcomes[name].values()), outcomes[name]


def test_a_strategy_of_another_package_is_found_by_its_entry_point(outcomes):
    assert outcomes["of_another_package"] == {"test_logits_equal_full_recompute_at_every_step": True}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_kit_refuses_a_strategy_that(fault, outcomes):
    assert outcomes[fault] == {FAULTS[fault][2]: False}
