"""Launchers of Hydra: their jobs measure the cells of the plan, and a job that dies is a failed row."""

import os
import subprocess
import sys

import pandas as pd
import pytest

from tests.command import ROOT
from tests.resuming import KEYS

LAUNCHER = '''
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobStatus
from hydra.types import RunMode


class Deadly(BasicLauncher):
    """Runs jobs as the basic launcher does, but those of ``DEAD`` die; then it raises, as submitit's does."""

    def launch(self, job_overrides, initial_job_idx):
        done = []
        for place, overrides in enumerate(job_overrides):
            if str(place) not in "DEAD":
                done += super().launch([overrides], initial_job_idx + place)
        if "DEAD":
            raise RuntimeError("Job 12_1 has not produced any output (state: CANCELLED)\\nError stream produced: ...")
        return done


ConfigStore.instance().store(group="hydra/launcher", name="deadly", node={"_target_": "hydra_plugins.deadly.Deadly"})
'''


def launched(tmp_path, dead):
    plugins = tmp_path / "packages" / "hydra_plugins"
    plugins.mkdir(parents=True)
    (plugins / "deadly.py").write_text(LAUNCHER.replace("DEAD", dead))
    path = os.pathsep.join([str(plugins.parent), str(ROOT)])
    command = [sys.executable, "-m", "suites", "run", *KEYS, "hydra/launcher=deadly", "hydra.sweep.dir=run"]
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("dead", "failed"), [("", []), ("1", [5])])
def test_the_table_is_collected_and_the_job_that_died_is_a_failed_row(tmp_path, dead, failed):
    done = launched(tmp_path, dead)
    assert done.returncode == int(bool(failed)), done.stderr
    assert "Traceback" not in done.stderr
    table = pd.read_csv(tmp_path / "run" / "table.csv")
    assert table["tgt_len"].to_list() == [4, 4, 5, 5, 6, 6]
    lost = table[table["status"] == "failed"]
    assert sorted({*lost["tgt_len"]}) == failed
    told = "its job died: RuntimeError: Job 12_1 has not produced any output"
    assert all(told in reason for reason in lost["reason"])
