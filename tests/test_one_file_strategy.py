"""A strategy is one file: dropped into the package it is found, and held to the whole conformance kit.

Faulty copies, each with one small mistake, are dropped in beside: the kit must refuse every one.
"""

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from tests.command import ROOT, SMALL_MODEL, conformance_kit, copy_packages, suites
from tests.examples import FILES

SOURCES = {
    **{name: FILES[f"strategies/{name}.py"] for name in ("chunked_kv", "float8_kv")},
    **{
        name: (ROOT / f"tests/drop_ins/{name}.py").read_text()
        for name in ("twice_kv", "blocks_kv", "pooled_kv", "int8_kv")
    },
}
RIGHT = {"twice_kv": True, "pooled_kv": False, "chunked_kv": True, "float8_kv": True, "int8_kv": True}
"""Strategies -> whether they have ``select``, and so follow beams."""

A_BLOCK_MORE = "                size = (*k_BGTK"
LOSES_THE_OTHERS = "self._pages = [tuple(map(torch.zeros_like, page)) for page in self._pages]"
REORDERS_K = "        self._k = self._k.index_select(0, parent_B)\n"
REORDERS_V = "        self._v = self._v.index_select(0, parent_B)\n"
HISTORY = "test_logits_are_those_of_each_history_in_a_first_batch_and_in_a_second"

# The name of a faulty copy -> the text that makes it so, and a test that has to fail.
FAULTS = {
    "writes_one_place_too_late": (
        "held[:, :, rows : step.length] = new",
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
        f"                {LOSES_THE_OTHERS}\n{A_BLOCK_MORE}",
        "test_logits_equal_full_recompute_at_every_step",
    ),
    "loses_them_with_its_default_size": (
        A_BLOCK_MORE,
        f"                if self._block == 16:\n                    {LOSES_THE_OTHERS}\n{A_BLOCK_MORE}",
        "test_logits_of_a_long_target_equal_the_teacher_forced_pass",
    ),
    "forgets_its_scales_in_the_bytes_of_a_row": (
        "(width + shape.dtype.itemsize)",
        "width",
        "test_recorded_products_and_bytes_are_those_of_the_formulas",
    ),
    "has_one_scale_for_all_sentences": (
        "amax(-1, keepdim=True)",
        "amax(-1, keepdim=True).amax(0, keepdim=True).expand(len(new_BGTK), -1, -1, -1)",
        "test_each_row_of_a_padded_batch_equals_that_sentence_alone",
    ),
    "leaves_scales_where_they_are": (
        "for kept in (*self._codes, *self._scales):\n            kept[",
        "for kept in self._codes:\n            kept[",
        HISTORY,
    ),
    "shares_one_layer_with_all": (
        "self.pool, self.rows_R = pool, pool.rows_LR[layer]",
        "self.pool, self.rows_R = pool, pool.rows_LR[0]",
        "test_logits_equal_full_recompute_at_every_step",
    ),
    "ignores_parents": (REORDERS_K + REORDERS_V, "        pass\n", HISTORY),
    "forgets_to_reorder_v": (REORDERS_V, "", HISTORY),
    "reorders_a_copy": (REORDERS_K, REORDERS_K.replace("self._k =", "reordered ="), HISTORY),
    "reorders_the_first_layer_alone": (
        REORDERS_K,
        f"        is_first, step.done = getattr(step, 'done', 0) < step.length, step.length\n"
        f"        if not is_first:\n            return\n{REORDERS_K}",
        HISTORY,
    ),
    "takes_parents_for_those_of_the_first_sentence": (
        REORDERS_K + REORDERS_V,
        (REORDERS_K + REORDERS_V).replace("parent_B)", "parent_B % 3)"),
        HISTORY,
    ),
    "reorders_more_than_declared": (
        "    def rows_reordered(self, k):\n        return self.rows_reserved(k)\n",
        "",
        "test_recorded_products_and_bytes_of_beams_are_those_of_the_formulas",
    ),
    "keeps_what_was_reordered": (
        REORDERS_K,
        f"        self.old = self._k\n{REORDERS_K}",
        "test_live_memory_of_beams_grows_from_step_to_step_by_the_reserved_rows_and_nothing_else",
    ),
    "declares_a_second_buffer_that_it_has_not": (
        "    def rows_reordered",
        "    def rows_spare(self, k):\n        return self.rows_reserved(k)\n\n    def rows_reordered",
        "test_reserved_and_used_bytes_of_beams_are_those_of_the_formulas",
    ),
    "does_not_reorder_its_blocks": (
        "    def select(self, parent_B, step):\n        self._pages",
        "    def unused(self, parent_B, step):\n        self._pages",
        HISTORY,
    ),
    "does_not_say_that_it_loses_something": (
        "    exact = False\n",
        "",
        "test_logits_equal_full_recompute_at_every_step",
    ),
    "does_not_say_how_many_bytes_a_row_takes": (
        "    def kv_row_bytes(self, shape):",
        "    def unused(self, shape):",
        "test_reserved_and_used_bytes_are_those_of_the_formulas",
    ),
    "expands_rows_undeclared": (
        "return k  # all rows, to be read",
        "return 0  # all rows, to be read",
        "test_recorded_products_and_bytes_are_those_of_the_formulas",
    ),
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the packages and of the kit, in which more files disturb nobody."""
    root = copy_packages(tmp_path_factory.mktemp("checkout"))
    (root / "tests").mkdir()
    for file in (ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")):
        shutil.copy(file, root / file.relative_to(ROOT))
    for name in RIGHT:
        (root / f"strategies/{name}.py").write_text(SOURCES[name])
    for name, (right, wrong, _) in FAULTS.items():
        source = next(source for source in SOURCES.values() if right in source)
        (root / f"strategies/{name}.py").write_text(renamed(source.replace(right, wrong), name))
    # What pip leaves of a package that declares an entry point.
    (root / "elsewhere.py").write_text(
        renamed(SOURCES["twice_kv"], "of_another_package").replace(".strategy", "strategies.strategy")
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
    brief = "(pooled_kv or chunked_kv or float8_kv or int8_kv) and not query and not cross and not capacity"
    wanted = ["twice_kv", brief, "of_another_package and test_logits_equal", *wanted]
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
    kits = ["", "_prefix", *(["_beams"] if RIGHT[name] else [])]
    text = "".join((ROOT / f"tests/test_conformance{of}.py").read_text() for of in kits)
    of_beams = "(?:beam_)?" if RIGHT[name] else ""
    asked = rf"{of_beams}strategy\b" if "exact = False" in SOURCES[name] else rf"(?:exact_)?{of_beams}strategy\b"
    assert set(outcomes[name]) == set(re.findall(rf"def (test_\w+)\(\s*{asked}", text))
    assert all(outcomes[name].values()), outcomes[name]


def test_without_select_several_beams_are_refused_in_one_line(checkout):
    small = [*SMALL_MODEL, "seq_len=4", "batch_size=2", "measure=quick", "search=beam", "search.num_beams=2"]
    asked = ["strategies=[twice_kv,pooled_kv]", "hydra.run.dir=beams"]
    suites("run", *small, *asked, folder=checkout, packages=checkout)
    table = pd.read_csv(checkout / "beams" / "table.csv").set_index("strategy")
    assert table["status"].to_dict() == {"twice_kv": "ok", "pooled_kv": "failed"}
    told = "its store has no select(parent_B, step), which 2 beams need; add it, or give search=greedy"
    assert table.loc["pooled_kv", "reason"].endswith(told)


def test_a_strategy_of_another_package_is_found_by_its_entry_point(outcomes):
    assert outcomes["of_another_package"] == {"test_logits_equal_full_recompute_at_every_step": True}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_kit_refuses_a_strategy_that(fault, outcomes):
    assert outcomes[fault] == {FAULTS[fault][2]: False}
