"""A file that cannot be used is told in one line that names it, and takes nothing else with it."""

import json

import pytest

from strategies.strategy import SHIPPED
from tests.command import copy_packages, suites

STRATEGY = (
    "from dataclasses import dataclass\nfrom .contiguous_kv import ContiguousKV\nfrom .strategy import register\n"
)
SOUND = (
    STRATEGY + '@register("sound")\n@dataclass(frozen=True)\nclass Sound(ContiguousKV):\n'
    "    @property\n    def label(self):\n        return super().label + ' of mine'\n"
)
BROKEN = {
    "strategies/a_syntax.py": ("def (", "SyntaxError: invalid syntax"),
    "strategies/a_exit.py": ("import sys\nsys.exit(0)", "SystemExit: 0, line 2"),
    "strategies/a_import.py": (
        "import no_such_engine",
        "ModuleNotFoundError: No module named 'no_such_engine', line 1",
    ),
    "strategies/a_late.py": (
        STRATEGY + '@register("late")\n@dataclass(frozen=True)\nclass Late(ContiguousKV):\n    """Late."""\n\n\n1 / 0',
        "ZeroDivisionError: division by zero, line 10",
    ),
    "strategies/a_kind.py": (
        'from .strategy import register\n@register("kind")\nclass Kind:\n    pass',
        "StrategyError: 'kind' is registered for <class 'strategies.a_kind.Kind'>; register a subclass of Strategy",
    ),
    "strategies/a_taken.py": (
        STRATEGY + '@register("static_kv")\n@dataclass(frozen=True)\nclass Mine(ContiguousKV):\n    pass',
        "StrategyError: the name 'static_kv' is taken by strategies.static_kv; register another",
    ),
    "strategies/a_made.py": (
        STRATEGY + '@register("made")\n@dataclass(frozen=True)\nclass Made(ContiguousKV):\n'
        "    def __post_init__(self):\n        1 / 0",
        "ZeroDivisionError: division by zero, line 8",
    ),
    "strategies/a_label.py": (
        STRATEGY + '@register("labelled")\n@dataclass(frozen=True)\nclass Labelled(ContiguousKV):\n'
        "    @property\n    def label(self):\n        raise LookupError('no label')",
        "LookupError: no label, line 9",
    ),
    "strategies/a_nameless.py": (
        STRATEGY + '@register("nameless")\n@dataclass(frozen=True)\nclass Nameless(ContiguousKV):\n    label = None',
        "ValueError: label is None; give a text of one line that is not empty",
    ),
    "strategies/a_lines.py": (
        STRATEGY + '@register("lines")\n@dataclass(frozen=True)\nclass Lines(ContiguousKV):\n    label = "a\\nb"',
        "ValueError: label is 'a\\nb'; give a text of one line that is not empty",
    ),
    "strategies/a_ways.py": (
        STRATEGY + '@register("ways")\n@dataclass(frozen=True)\nclass Ways(ContiguousKV):\n'
        "    @property\n    def supports(self):\n        return None",
        "ValueError: supports is None; give a frozenset of eager, compiled, graph",
    ),
    "strategies/a_word.py": (
        STRATEGY + '@register("word")\n@dataclass(frozen=True)\nclass Word(ContiguousKV):\n    exact = "no"',
        "ValueError: exact is 'no'; write exact = True or exact = False, without a type, in the class",
    ),
    "strategies/a_property.py": (
        STRATEGY + '@register("property")\n@dataclass(frozen=True)\nclass Property(ContiguousKV):\n'
        "    @property\n    def exact(self):\n        return False",
        "ValueError: exact is a property; write exact = True or exact = False, without a type, in the class",
    ),
    "strategies/a_field.py": (
        STRATEGY + '@register("field")\n@dataclass(frozen=True)\nclass Field(ContiguousKV):\n    exact: bool = False',
        "ValueError: exact is an option; write exact = True or exact = False, without a type, in the class",
    ),
    "strategies/a_hint.py": (
        "from __future__ import annotations\n" + STRATEGY + '@register("hint")\n@dataclass(frozen=True)\n'
        "class Hint(ContiguousKV):\n    size: Unknown = 3",
        "NameError: name 'Unknown' is not defined",
    ),
    "suites/contenders/a_exit.py": ("import sys\nsys.exit(0)", "SystemExit: 0, line 2"),
    "suites/metrics/a_syntax.py": ("def (", "SyntaxError: invalid syntax"),
    "suites/metrics/a_mute.py": (
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mute",
        "Mute: its message cannot be read",
    ),
    "suites/metrics/a_bell.py": ("raise ValueError('it \\x1b[31mrings')", "ValueError: it ?[31mrings"),
    "suites/metrics/a_taken.py": (
        'from .metric import metric\n@metric("s", "lower", "none")\ndef e2e_s(case):\n    return 1.0',
        "the metric's name 'e2e_s' is taken by suites.metrics.latency; use another",
    ),
    "elsewhere.py": ("raise RuntimeError('not today')", "RuntimeError: not today, line 1"),
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """What `list` prints, on both outputs, in a copy with every broken file in it."""
    root = copy_packages(tmp_path_factory.mktemp("broken"))
    for path, (text, _) in BROKEN.items():
        (root / path).write_text(text + "\n")
    (root / "strategies/sound.py").write_text(SOUND)
    (root / "conf/model/latin.yaml").write_bytes(b"# python -m suites run model=latin        caf\xe9\n")
    metadata = root / "elsewhere-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[decodebench.strategies]\nany = elsewhere\nodd = a b c!!\n")
    return suites("list", "--json", folder=root, packages=root)


def test_what_is_sound_is_listed_as_before(listed):
    assert listed.returncode == 0, listed.stderr
    found = {kind: set(names) for kind, names in json.loads(listed.stdout).items()}
    assert found["strategies"] == {module.removeprefix("strategies.") for module in SHIPPED} | {"sound"}
    assert "ctranslate2_int8" in found["contenders"]
    assert {"e2e_s", "itl_s"} <= found["metrics"]
    assert {"latin", "tiny"} <= found["models"]


@pytest.mark.parametrize("path", BROKEN)
def test_what_is_broken_is_one_line_that_names_the_file(listed, path):
    name = "the entry point any = elsewhere" if path == "elsewhere.py" else path
    (line,) = (line for line in listed.stderr.splitlines() if f"{name} is left out" in line)
    assert BROKEN[path][1] in line
    module = path.removesuffix(".py").replace("/", ".")
    assert line.endswith(f"; python -c 'import {module}' shows more")
    assert "Traceback" not in listed.stderr
    assert len(listed.stderr.splitlines()) == len(BROKEN) + 1


def test_an_entry_point_that_is_none_is_one_line(listed):
    assert 1 == sum("the entry point odd = a b c!! is left out" in line for line in listed.stderr.splitlines())
    assert "Traceback" not in listed.stderr
