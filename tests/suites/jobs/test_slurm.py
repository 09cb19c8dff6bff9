"""What jobs of Slurm ask for, and what is read of Slurm's words; that it works is shown by tests/slurm."""

import subprocess

import pytest

from suites.jobs import slurm
from suites.jobs.slurm import SlurmError, alive, ended_by, parameters, said
from suites.settings.cluster import ClusterConfig

JOBS = [{"cell": "a", "job": "7_0"}, {"cell": "b", "job": "7_1"}, {"cell": "c", "job": "9"}]


def answer(monkeypatch, out="", err="", code=0):
    asked = []

    def run(*words):
        asked.append(words)
        return subprocess.CompletedProcess(words, code, out, err)

    monkeypatch.setattr(slurm, "_run", run)
    return asked


def test_cells_on_the_cpu_have_their_node_alone_and_no_gpu_and_as_many_cpus_as_threads():
    cluster = ClusterConfig(kind="slurm", gpus=2, memory_gib=1.5, minutes=2, partition="p")
    cpu, cuda = parameters(cluster, "cpu", 8), parameters(cluster, "cuda", 4)
    assert (cpu["exclusive"], cpu.get("gpus_per_node"), cpu["cpus_per_task"]) == (True, None, 8)
    assert (cuda.get("exclusive"), cuda["gpus_per_node"], cuda["cpus_per_task"]) == (None, 2, 4)
    assert (cpu["mem"], cpu["time"], cpu["signal_delay_s"], cpu["partition"]) == ("1536M", 2, 30, "p")
    assert "account" not in cpu
    shared = parameters(ClusterConfig(kind="slurm", exclusive=False, cpus=16), "cpu", 8)
    assert (shared.get("exclusive"), shared["cpus_per_task"]) == (None, 16)


def test_jobs_that_wait_or_run_are_those_that_squeue_lists(monkeypatch):
    lines = "7_0|RUNNING|None\n7_1|PENDING|Nodes required for job are DOWN, DRAINED or reserved\n8|RUNNING|None\n"
    asked = answer(monkeypatch, lines)
    assert alive(JOBS) == {
        "7_0": ("RUNNING", "None"),
        "7_1": ("PENDING", "Nodes required for job are DOWN, DRAINED or reserved"),
    }
    assert asked[0][asked[0].index("-j") + 1] == "7,9"


def test_jobs_that_slurm_has_forgotten_are_gone_but_a_silent_slurm_says_nothing(monkeypatch):
    answer(monkeypatch, err="slurm_load_jobs error: Invalid job id specified", code=1)
    assert alive(JOBS) == {}
    answer(monkeypatch, err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)", code=1)
    with pytest.raises(SlurmError, match="Unable to contact slurm controller"):
        alive(JOBS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sbatch: error: invalid partition specified: x\nsbatch: error: Batch job submission failed: Bad", "Bad"),
        ("sbatch: fatal: Unable to process configuration file", "Unable to process configuration file"),
        ("", "it gave no reason"),
    ],
)
def test_the_reason_is_the_last_line_without_the_words_before_it(text, reason):
    assert said(text) == reason


def test_a_job_without_a_result_ends_with_what_slurm_wrote_last(tmp_path):
    assert ended_by(tmp_path, "7_1") == "its Slurm job 7_1 ended without a result, and before it wrote a log"
    for when, text in (("2026-01-01", "an older job of the same id"), ("2026-01-02", "loading\nOOM: Killed\n\n")):
        log = tmp_path / "jobs" / when / "7_1_0_log.err"
        log.parent.mkdir(parents=True)
        log.write_text(text)
    assert ended_by(tmp_path, "7_1") == "its Slurm job 7_1 ended without a result: OOM: Killed"
