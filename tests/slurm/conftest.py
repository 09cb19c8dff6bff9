import pytest

from . import cluster


@pytest.fixture(scope="session")
def slurm():
    """A cluster that is up, and the reason to skip where there can be none."""
    if why := cluster.obstacle():
        pytest.skip(why)
    with cluster.Cluster() as up:
        yield up
