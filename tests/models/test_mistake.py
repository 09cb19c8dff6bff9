"""One base class says which errors are a user's to mend; commands tell these in one line."""

import importlib
import pkgutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

import strategies
import suites
from strategies import Mistake, Strategy
from strategies.strategy import Entry
from suites.settings.faults import Fault


def errors_of(package):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            yield from (
                value
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, ValueError) and value.__module__ == found.name
            )


@pytest.mark.parametrize("package", [strategies, suites], ids=lambda package: package.__name__)
def test_every_value_error_of_ours_is_a_mistake(package):
    found = set(errors_of(package))
    assert len(found) > 2
    assert {error for error in found if not issubclass(error, Mistake)} == set()


def test_a_mistake_needs_no_traceback_and_another_error_has_its_own():
    told = Fault.of(strategies.StrategyError("cache_kv: size=0 is not allowed; give at least 1"))
    assert (told.reason, told.traceback) == ("cache_kv: size=0 is not allowed; give at least 1", "")
    try:
        raise ValueError("of an author's file")
    except ValueError as error:
        other = Fault.of(error)
    assert other.reason == "ValueError: of an author's file"
    assert "test_mistake.py" in other.traceback


def test_options_that_end_in_an_error_without_words_are_one_line():
    class MuteError(Exception):
        def __str__(self):
            raise ValueError

    @dataclass(frozen=True)
    class Mute(Strategy):
        def __post_init__(self):
            raise MuteError

    with pytest.raises(strategies.StrategyError, match=r"^Mute\(\) of .*: MuteError: its message cannot be read$"):
        Entry(Mute, (), "").make()


def test_the_names_of_strategies_are_had_without_torch_where_they_need_none():
    names = "strategies.Mistake, strategies.ModelConfig, strategies.Beam"
    program = f"import sys, strategies; {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert set(strategies.__all__) <= set(dir(strategies))
    modules = "import strategies; strategies.session.Session; strategies.static_kv.StaticKV; strategies.models"
    subprocess.run([sys.executable, "-c", modules], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        strategies.nothing  # noqa: B018 - it is asked for
