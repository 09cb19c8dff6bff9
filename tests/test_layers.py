"""The contracts of pyproject.toml on what imports what: they hold, and an import against them is found."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.command import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("importlinter") is None, reason="needs import-linter: pip install 'decodebench[dev]'"
)
PLANTED = {
    "a lower room imports a higher one": ("suites/store/files.py", "from ..verbs import VERBS"),
    "rooms of one line know one another": ("suites/tables/case_table.py", "from ..measuring import runner"),
    "what measures imports the contenders": ("suites/measuring/runner.py", "from ..contenders import registry"),
    "a plot imports torch": ("suites/plots/style.py", "import torch"),
    "a strategy imports what measures it": ("strategies/static_kv.py", "from suites.timing import clock"),
    "the model imports a kernel": ("strategies/models/attention.py", "from .kernels import one_row"),
    "the model imports a strategy": ("strategies/models/costs.py", "from .. import parse"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    for package in ("strategies", "suites"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def lint(root):
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", program, "--no-logo", "--no-cache"], cwd=root, capture_output=True, text=True
    )


def test_the_contracts_hold(copy):
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("fault", PLANTED)
def test_an_import_against_the_layers_is_found(copy, fault):
    name, line = PLANTED[fault]
    file = copy / name
    text = file.read_text()
    file.write_text(
        text.replace("from __future__ import annotations\n", f"from __future__ import annotations\n{line}\n")
    )
    try:
        done = lint(copy)
    finally:
        file.write_text(text)
    assert done.returncode == 1
    module = name.removesuffix(".py").replace("/", ".")
    assert f"{module} -> " in done.stdout.partition("Broken contracts")[2]


def test_every_module_of_the_model_is_named_in_its_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (mine,) = (contract for contract in contracts if contract["name"] == "The model knows no kernel")
    found = {path.stem for path in (ROOT / "strategies" / "models").glob("*.py")} - {"__init__"} | {
        "checkpoints",
        "footprint",
    }
    assert {name.removeprefix("strategies.models.") for name in mine["source_modules"]} == found


def test_every_module_of_strategies_is_one_that_models_may_not_import():
    """But those of authors, which come and go."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (mine,) = (contract for contract in contracts if contract["name"].startswith("Models know no strategy"))
    found = {f"strategies.{path.stem}" for path in (ROOT / "strategies").glob("*.py")} - {"strategies.__init__"}
    rooms = {path.parent.name for path in (ROOT / "strategies").glob("*/__init__.py")} - {"models"}
    found |= {f"strategies.{room}{inside}" for room in rooms for inside in ("", ".**")}
    assert {*mine["forbidden_modules"]} == found | {"strategies"}
