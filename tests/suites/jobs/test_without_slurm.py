"""What a machine without Slurm, or without submitit, says to a sweep that is to run on Slurm."""

import sys

import pytest

from suites.jobs.slurm import PROGRAMS, require_slurm
from suites.settings.config import ConfigError
from tests.command import SMALL_MODEL, suites

SWEEP = [*SMALL_MODEL, "seq_len=4,5", "device=cpu", "+cluster=slurm"]


@pytest.fixture
def path_of(tmp_path):
    """``path_of(names)``: a PATH with nothing but programs of these names."""

    def make(*names: str) -> str:
        folder = tmp_path / "programs"
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to("/bin/true")
        return str(folder)

    return make


@pytest.mark.parametrize(("names", "missing"), [((), "sbatch"), (("sbatch", "srun", "scontrol"), "squeue")])
def test_without_slurm_one_line_names_the_program_that_is_missing(path_of, tmp_path, names, missing):
    done = suites("run", *SWEEP, folder=tmp_path, PATH=path_of(*names))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"decodebench: +cluster=slurm needs Slurm's {missing}")
    assert not (tmp_path / "results").exists()


def test_without_submitit_the_error_says_how_to_install_it(path_of, monkeypatch):
    monkeypatch.setenv("PATH", path_of(*PROGRAMS))
    monkeypatch.setitem(sys.modules, "submitit", None)  # importing it raises
    with pytest.raises(ConfigError, match=r"pip install 'decodebench\[slurm\]'"):
        require_slurm()
