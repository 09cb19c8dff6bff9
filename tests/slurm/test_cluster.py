"""The cluster of these tests: it runs jobs on both nodes, and leaves nothing behind."""

import subprocess

import psutil
import pytest

from .cluster import NODES, Cluster, ClusterError, obstacle

pytestmark = pytest.mark.skipif(bool(obstacle()), reason=obstacle())


def of(cluster):
    """Command lines of this cluster's processes, its jobs' among them."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(cluster.folder) in " ".join(process.cmdline()):
                found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("node", NODES)
def test_a_job_runs_on_each_node(slurm, node):
    assert slurm.run("srun", f"--nodelist={node}", "printenv", "SLURMD_NODENAME") == node


def test_nothing_is_left_of_a_cluster_that_fails_with_jobs_running_and_waiting():
    cluster = Cluster()

    def fail():
        with cluster:
            script = "--wrap=trap '' TERM; while true; do sleep 1; done"
            where = f"--output={cluster.folder / 'job.out'}"
            job = cluster.run("sbatch", "--parsable", "--array=0-3", "--exclusive", where, script)
            cluster.wait_for(lambda: list(cluster.states(job).values()).count("RUNNING") == len(NODES))
            assert of(cluster)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not of(cluster)
    assert not cluster.folder.exists()


def test_a_cluster_that_does_not_come_up_says_why_and_leaves_nothing():
    cluster = Cluster("SelectType=select/none_of_these")
    with pytest.raises(ClusterError, match="select"), cluster:
        pass
    assert not of(cluster)
    assert not cluster.folder.exists()


def test_drained_nodes_let_jobs_end_and_others_wait(slurm, tmp_path):
    script = f"until test -e {tmp_path / 'end'}; do sleep 0.1; done"
    job = slurm.run("sbatch", "--parsable", "--array=0-2", "--exclusive", "--output=/dev/null", f"--wrap={script}")
    slurm.wait_for(lambda: "RUNNING" in slurm.states(job).values())
    try:
        for node in NODES:
            slurm.drain(node)
        (tmp_path / "end").touch()
        slurm.wait_for(lambda: all(slurm.node_state(node) == "drain" for node in NODES))
        assert "PENDING" in slurm.states(job).values()
        assert set(slurm.states(job).values()) <= {"PENDING", "COMPLETED"}
    finally:
        for node in NODES:
            slurm.resume(node)
    slurm.wait_for(lambda: set(slurm.states(job).values()) == {"COMPLETED"})


def test_a_command_that_fails_is_an_error(slurm):
    with pytest.raises(subprocess.CalledProcessError):
        slurm.run("scontrol", "show", "job", "4711")
