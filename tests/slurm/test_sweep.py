"""Sweeps through sbatch: jobs are killed, nodes are drained, and a resumed sweep is whole."""

import pytest

from .cluster import NODES, Cluster, obstacle
from .sweep import STRATEGIES, Sweep, counted

pytest.importorskip("submitit", reason="submitit is not installed (pip install 'decodebench[slurm]')")


@pytest.fixture
def sweep(slurm, tmp_path):
    """``sweep(lengths)``: a sweep in a fresh folder. Its jobs are gone, and the nodes take jobs, when the test ends."""
    yield lambda lengths: Sweep(slurm, tmp_path / "run", lengths)
    slurm.run("scancel", "--user=root")
    for node in NODES:
        if slurm.node_state(node).startswith("dr"):
            slurm.resume(node)
    slurm.wait_for(lambda: all(slurm.node_state(node) == "idle" for node in NODES))


def succeed(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_sweep_with_a_killed_job_and_a_drained_node_is_resumed_to_the_full_table(sweep, slurm):
    sweep = sweep(range(4, 16))
    told = succeed(sweep.submit("--no-wait"))
    jobs = sweep.jobs()
    array = next(iter(jobs.values())).partition("_")[0]
    assert set(jobs.values()) == {f"{array}_{number}" for number in range(12)}
    assert f"{array}_0 to {array}_11" in told.stdout

    slurm.wait_for(lambda: sweep.any_is("RUNNING"))
    killed = next(cell for cell, state in sweep.states().items() if state == "RUNNING")
    slurm.run("scancel", jobs[killed])
    slurm.wait_for(lambda: sweep.any_is("COMPLETED"))
    slurm.drain("n2")
    slurm.wait_for(lambda: slurm.node_state("n2") == "drain")
    assert sweep.any_is("PENDING")
    meanwhile = counted(sweep("collect", str(sweep.folder)).stdout)
    assert 0 < meanwhile["done"] < 11
    assert sum(meanwhile.values()) == 12
    slurm.resume("n2")
    sweep.wait()

    first = sweep("collect", str(sweep.folder))
    table = (sweep.folder / "table.csv").read_bytes()
    assert counted(first.stdout)["done"] == 11
    assert counted(first.stdout)["failed"] + counted(first.stdout)["missing"] == 1
    assert first.returncode == 1
    assert len(sweep.cases()) == len(set(sweep.cases())) == 11 * 2
    second = sweep("collect", str(sweep.folder))
    assert (second.stdout, second.returncode) == (first.stdout, 1)
    assert (sweep.folder / "table.csv").read_bytes() == table

    succeed(sweep("run", "--resume", str(sweep.folder)))
    assert sweep.cases() == sweep.every_case()
    assert {cell for cell, job in sweep.jobs().items() if job != jobs[cell]} == {killed}
    assert counted(succeed(sweep("collect", str(sweep.folder))).stdout)["done"] == 12


def test_a_resume_leaves_cells_alone_whose_jobs_wait(sweep, slurm):
    sweep = sweep(range(4, 7))
    for node in NODES:
        slurm.drain(node)
    succeed(sweep.submit("--no-wait"))
    jobs = sweep.jobs()
    succeed(sweep("run", "--resume", str(sweep.folder), "--no-wait"))
    assert sweep.jobs() == jobs
    assert len(slurm.run("squeue", "-h", "-r").splitlines()) == 3

    lost = next(iter(jobs))
    slurm.run("scancel", jobs[lost])
    slurm.wait_for(lambda: sweep.states()[lost] in ("CANCELLED", "forgotten"))
    succeed(sweep("run", "--resume", str(sweep.folder), "--no-wait"))
    assert {cell for cell, job in sweep.jobs().items() if job != jobs[cell]} == {lost}
    assert len(slurm.run("squeue", "-h", "-r").splitlines()) == 3


def test_a_run_waits_for_its_jobs_and_collects(sweep):
    sweep = sweep(range(4, 6))
    succeed(sweep.submit())
    assert sweep.cases() == sweep.every_case()
    assert set(sweep.states().values()) == {"COMPLETED"}


def test_a_partition_that_is_not_there_is_one_line(sweep):
    sweep = sweep(range(4, 6))
    done = sweep.submit(partition="nowhere")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("decodebench: ")
    assert [line for line in done.stderr.splitlines() if "partition" in line] == done.stderr.splitlines()[-1:]


def test_a_job_that_is_warned_of_its_time_limit_begins_anew_three_times_and_then_fails_with_the_reason(sweep, slurm):
    sweep = sweep(range(8, 9))
    succeed(sweep.submit("--no-wait", "measure.rounds=100000", "measure.warmup=0"))
    [job] = sweep.jobs().values()
    for number in range(1, 5):
        folder = "cells" if number == 1 else "again"
        slurm.wait_for(lambda folder=folder: sweep.rounds(folder) >= 3 * len(STRATEGIES))
        assert slurm.states(job) == {job: "RUNNING"}
        slurm.run("scancel", "--signal=USR2", job)
        slurm.wait_for(lambda: not sweep.any_is("RUNNING") and not sweep.any_is("COMPLETING"))
        if number < 4:
            assert slurm.states(job) == {job: "PENDING"}
            meanwhile = sweep("collect", str(sweep.folder))
            assert counted(meanwhile.stdout)["failed"] == 0
            slurm.run("scontrol", "update", f"jobid={job}", "StartTime=now")  # else Slurm waits for two minutes
    assert slurm.states(job) == {job: "FAILED"}
    assert sweep("collect", str(sweep.folder)).returncode == 1
    assert list(sweep.rows()["status"]) == ["failed"] * 2
    assert sweep.rows()["reason"].str.contains("time limit").all()


@pytest.mark.skipif(bool(obstacle()), reason=obstacle())
def test_a_sweep_of_more_cells_than_slurm_takes_in_an_array_is_several(tmp_path):
    with Cluster("MaxArraySize=4") as slurm:
        for node in NODES:
            slurm.drain(node)
        sweep = Sweep(slurm, tmp_path / "run", range(4, 10))
        succeed(sweep.submit("--no-wait"))
        assert [*sweep.jobs().values()] == ["1_0", "1_1", "1_2", "1_3", "2_0", "2_1"]
        assert set(sweep.states().values()) == {"PENDING"}
