"""The test cluster itself: what does not start is said, and nothing outlives the process that runs it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import ROOT, Cluster, missing
from tests.slurm.sweep_up import processes

# A job that leaves its process group, its environment and its parent, as far as a program can without being told to.
JOB = """\
sleep 1000 & echo $! >>{place}/pids
env -i sleep 1000 & echo $! >>{place}/pids
srun bash -c 'touch "$TMPDIR/left"; echo $$ >>{place}/pids; exec sleep 1000'
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    if lacking := missing():
        pytest.skip(f"needs {', '.join(lacking)}")


def wait(condition: Callable[[], object], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)


def there(pid: int) -> bool:
    """Whether a process lives; one that waits for its parent to take note of its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_runner_that_is_killed_leaves_nothing(number: signal.Signals, tmp_path: Path):
    """No daemon, no process of a job, no temporary file."""
    (tmp_path / "job.sh").write_text("#!/bin/bash\n" + JOB.format(place=tmp_path))
    submit = f"sbatch --output=/dev/null {tmp_path}/job.sh && exec sleep 1000"
    with tempfile.TemporaryDirectory(prefix="g_") as temporary:  # a short path: munged's socket is in it
        os.chmod(temporary, 0o755)
        runner = subprocess.Popen(
            [sys.executable, "-m", "tests.slurm.cluster", "bash", "-c", submit],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": temporary, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
        )
        try:
            pids = tmp_path / "pids"
            wait(lambda: pids.is_file() and len(pids.read_text().split()) == 3, 180, "a job that runs")
            (root,) = Path(temporary).glob("genlab_slurm_*")
            of_job = [int(pid) for pid in pids.read_text().split()]
            assert len(processes(root)) >= 5  # the daemons, and the job's
            assert all(map(there, of_job))
        finally:
            runner.send_signal(number)
        assert runner.wait() == -number
        wait(lambda: not root.exists(), 60, "the end of what the runner had started")
        assert not processes(root)
        assert not [pid for pid in of_job if there(pid)]
        assert not list(Path(temporary).iterdir())


def test_a_daemon_that_does_not_start_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "slurmctld").write_text("#!/bin/sh\necho 'slurmctld: fatal: no such port' >&2\nexit 3\n")
    (tmp_path / "slurmctld").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cluster = Cluster()
    with pytest.raises(RuntimeError, match=r"(?s)slurmctld ended with status 3 .*fatal: no such port"):
        cluster.__enter__()
    assert not cluster.root.exists()
    assert not processes(cluster.root)
