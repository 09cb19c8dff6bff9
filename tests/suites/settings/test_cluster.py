"""What a run asks of a cluster: what is typed beside --resume, and the resources of a frozen cell."""

import pytest

from suites.settings.cluster import ClusterConfig
from suites.settings.cluster_changed import changed
from suites.settings.config import ConfigError
from suites.settings.overrides import read_overrides
from suites.settings.resources import refuse_cluster

SLURM = {"kind": "slurm", "partition": "gpu", "gpus": 1, "minutes": 90, "parallel": 4}


def beside_resume(written, *typed):
    return changed(written, read_overrides([*typed]).typed)


def test_nothing_typed_leaves_the_cluster_of_the_run():
    assert beside_resume(SLURM) == ClusterConfig(**SLURM)
    assert beside_resume({}) == ClusterConfig()


def test_a_key_of_a_later_version_in_run_json_is_left_out():
    assert beside_resume({**SLURM, "moons": 3}) == ClusterConfig(**SLURM)


def test_a_key_replaces_the_run_s_and_leaves_the_others():
    assert beside_resume(SLURM, "cluster.minutes=30") == ClusterConfig(**{**SLURM, "minutes": 30})
    assert beside_resume(SLURM, "cluster.partition=null") == ClusterConfig(**{**SLURM, "partition": None})


@pytest.mark.parametrize("step", [1, -1])
def test_a_file_replaces_every_key_and_a_typed_key_those_of_the_file(step):
    typed = ["+cluster=slurm", "cluster.partition=cpu"][::step]
    assert beside_resume(SLURM, *typed) == ClusterConfig(kind="slurm", partition="cpu")


def test_a_run_of_slurm_may_go_on_here():
    assert not beside_resume(SLURM, "+cluster=local").is_slurm
    assert beside_resume(SLURM, "+cluster=local", "cluster.gpus=all").gpus == "all"


@pytest.mark.parametrize(
    ("written", "typed"),
    [({}, ["cluster.minutes=120"]), (SLURM, ["+cluster=local", "cluster.partition=a"]), ({}, ["cluster.gpus=2"])],
)
def test_a_key_without_effect_is_refused(written, typed):
    with pytest.raises(ConfigError, match=f"^{typed[-1]} has no effect without Slurm"):
        beside_resume(written, *typed)


@pytest.mark.parametrize(
    ("cluster", "device", "threads", "said"),
    [
        ({}, "cuda", 1, "device=cuda needs a GPU"),
        ({"gpus": 0}, "cuda", 1, "device=cuda needs a GPU"),
        ({"gpus": "all"}, "cuda", 1, "cluster.gpus=all is not allowed"),
        ({"gpus": "all"}, "cpu", 1, "cluster.gpus=all is not allowed"),
        ({"cpus": 2}, "cpu", 8, "threads=8 is more than cluster.cpus=2"),
    ],
)
def test_a_job_that_lacks_what_a_cell_needs_is_refused(cluster, device, threads, said):
    with pytest.raises(ConfigError, match=f"^{said}"):
        refuse_cluster(ClusterConfig(kind="slurm", **cluster), device, threads)


@pytest.mark.parametrize(
    ("cluster", "device", "threads"),
    [
        (ClusterConfig(kind="slurm"), "cpu", 8),
        (ClusterConfig(kind="slurm", cpus=8), "cpu", 8),
        (ClusterConfig(kind="slurm", gpus=1, cpus=4), "cuda", 2),
        (ClusterConfig(), "cuda", 8),
        (ClusterConfig(gpus="all", cpus=1), "cuda", 8),
    ],
)
def test_what_a_cell_needs_is_taken(cluster, device, threads):
    refuse_cluster(cluster, device, threads)
