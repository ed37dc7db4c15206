"""Runs the commands of slurm/README.md as they are written there, in a clone, on the test cluster.

    python -m tests.slurm.readme [--only sweep]

All but the installation. Commands that stand together are run one after another, and the jobs that they submit to
their ends: what a later one does to a job, it does while the job runs. Of a cluster with GPUs, the page's commands
differ by `--gres`; here the nodes declare eight CPUs each.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.slurm.cluster import ROOT, Cluster

SKIPPED = ("git clone", "export PATH")
PATIENCE = 3600  # seconds; eight processes may share one core


def paragraphs(text: str) -> Iterator[list[str]]:
    """The lines of all `sh` blocks, continued lines as one, without their remarks, by the empty lines between them."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for paragraph in block.replace("\\\n", " ").split("\n\n"):
            lines = [re.sub(r"(^|\s+)#.*", "", line).split() for line in paragraph.splitlines()]
            yield [" ".join(line) for line in lines if line]


def jobs_of(command: str, said: str) -> list[str]:
    """The jobs that a command has submitted, an array's one by one.

    >>> jobs_of("sbatch --array=0-1 slurm/sample.sbatch", "Submitted batch job 7")
    ['7_0', '7_1']
    >>> jobs_of("lightning sweep x.yaml --agents 2 --slurm", "submitted array 8 of 2 agents")
    ['8_1', '8_2']
    """
    job = re.search(r"(?:Submitted batch job|submitted array) (\d+)", said)
    if not job:
        return []
    if tasks := re.search(r"--array=(\d+)-(\d+)", command):
        return [f"{job[1]}_{task}" for task in range(int(tasks[1]), int(tasks[2]) + 1)]
    agents = re.search(r"submitted array \d+ of (\d+)", said)
    return [f"{job[1]}_{task + 1}" for task in range(int(agents[1]))] if agents else [job[1]]


def run(cluster: Cluster, command: str, folder: Path) -> list[str]:
    """Run a command to its end; the jobs that it submits.

    Raises:
        RuntimeError: it fails.
    """
    environment = cluster.environment | {"PYTHONPATH": f"{folder / 'platform'}:{folder}"}
    print(f"\n-- {command}", flush=True)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    print(done.stdout + done.stderr, flush=True)
    if done.returncode:
        raise RuntimeError(f"{command}: status {done.returncode}")
    return jobs_of(command, done.stdout)


def wait_for(cluster: Cluster, job: str, folder: Path) -> None:
    """Wait for a job's end.

    Raises:
        RuntimeError: it fails.
    """
    state = cluster.wait_for(job, timeout=PATIENCE)
    print(f"job {job}: {state}, {cluster.restarts(job)} restarts", flush=True)
    if state != "COMPLETED":
        name = job.split("_")[0]
        for log in [*folder.glob(f"slurm-*{name}*.out"), *cluster.root.glob(f"logs/*{name}*/rank_0.log")]:
            print(f"== {log.name}\n{log.read_text()[-3000:]}", flush=True)
        raise RuntimeError(f"job {job} ended as {state}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="paragraphs that hold this word")
    only = parser.parse_args().only
    with Cluster() as cluster:
        folder = cluster.root / "readme" / "genlab"
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        for paragraph in paragraphs((ROOT / "slurm" / "README.md").read_text()):
            start = time.monotonic()
            wanted = [line for line in paragraph if not line.startswith(SKIPPED)]
            if not any(only in line for line in wanted):
                continue
            jobs = [job for line in wanted for job in run(cluster, line, folder)]
            for job in jobs:
                wait_for(cluster, job, folder)
            print(f"{time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
