"""One cluster for all tests here; without SLURM's packages they are skipped."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, missing
from tests.slurm.runs import Fits


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slurm)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if lacking := missing():
        pytest.skip(f"needs {', '.join(lacking)}: Debian's slurmctld, slurmd, slurm-client and munge")
    with Cluster() as one:
        yield one


@pytest.fixture(scope="session")
def fits(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Fits:
    """Fits on two nodes, of which the run `whole` was never stopped."""
    fits = Fits(cluster, tmp_path_factory.mktemp("fits"))
    job = fits.submit("whole")
    assert cluster.wait_for(job) == "COMPLETED", fits.said("whole")
    return fits
