"""Energy of rounds: read around each, by a stand-in for pynvml."""

import pytest

from strategies import select
from suites.measuring import rounds
from suites.measuring.arms import StrategyArm
from suites.measuring.conditions import Watch
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA

from ..measuring.one_cell import CELL, measure
from .nvml_stand_in import Driver


def one_measured_cell(monkeypatch, folder):
    """A cell measured here as if on the GPU that stands in: its rounds and its conditions, as they are read back."""
    monkeypatch.setattr(rounds, "Watch", lambda device: Watch("cuda"))
    measure(select("core"), folder)
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": CELL.id}]})
    (found,) = read_cells(folder)
    return found


def test_the_energy_of_each_round_is_read_around_it_and_never_inside(h100, monkeypatch, tmp_path):
    """Each round takes 40 J; between rounds the counter rises, too."""
    inside = []

    def outside_only(name):
        assert not inside, f"{name} inside a round"

    driver = h100(Driver(reading=outside_only))
    real = StrategyArm.round

    def of_40_joules(arm, index, warmup, clock):
        inside.append(index)
        done = real(arm, index, warmup, clock)
        driver.energy_mj += 40_000
        driver.power_ns += 10**8
        inside.pop()
        return done

    def between(watch):
        driver.energy_mj += 9_000

    monkeypatch.setattr(StrategyArm, "round", of_40_joules)
    monkeypatch.setattr(Watch, "after_round", between)
    found = one_measured_cell(monkeypatch, tmp_path)
    assert [done.energy_j for done in found.rounds] == [pytest.approx(40.0)] * len(found.rounds)
    assert len(found.rounds) >= 4
    assert found.conditions.throttled == ["power cap"]
    assert found.conditions.throttled_s == {"power cap": pytest.approx(0.1 * len(found.rounds))}


@pytest.mark.parametrize("driver", [Driver({"nvmlDeviceGetTotalEnergyConsumption"}), None])
def test_rounds_without_a_counter_of_energy_are_measured_all_the_same(driver, h100, monkeypatch, tmp_path):
    h100(driver)
    found = one_measured_cell(monkeypatch, tmp_path)
    assert {arm.status for arm in found.arms} == {"ok"}
    assert {done.energy_j for done in found.rounds} == {None}


def test_a_counter_of_energy_that_starts_anew_in_a_round_tells_nothing(h100, monkeypatch, tmp_path):
    driver, real = h100(Driver()), StrategyArm.round

    def reloaded(arm, *arguments):
        driver.energy_mj -= 1_000
        return real(arm, *arguments)

    monkeypatch.setattr(StrategyArm, "round", reloaded)
    assert {done.energy_j for done in one_measured_cell(monkeypatch, tmp_path).rounds} == {None}
