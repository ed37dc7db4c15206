"""A run killed again and again at random moments on a real SLURM cluster ends as the one that was never stopped.

    python -m tests.slurm.kills SEED COUNT [--family vae] [--nodes 1]

Each life of the job ends by SIGKILL (then the same command is submitted again), by a preemption, or at its time
limit; during start-up or between steps, saves and validations. In the end weights, averages, optimiser, curves and
pictures must be equal bit for bit, with one W&B id and no temporary file.
"""

import argparse
import random
import sys
import time
from collections import Counter

from tests import composed, tiny
from tests.slurm.cluster import Cluster
from tests.slurm.runs import Fits, assert_uninterrupted

FAMILIES = (*tiny.MODELS, *composed.FAMILIES)
SECONDS, STEPS = 20.0, 80  # of a run's steps
# SLURM looks at time limits twice a minute, in which the whole run would be over.
SLOWLY = 16


class Killer:
    """Ends the lives of one run.

    Args:
        fits: where it runs.
        rng: chooses how and when.
        count: lives to end.
    """

    def __init__(self, fits: Fits, rng: random.Random, count: int):
        self.fits, self.cluster, self.rng, self.count = fits, fits.cluster, rng, count
        self.done: Counter[str] = Counter()
        self.sleep = fits.folder / "sleep"

    def run(self, name: str) -> None:
        """Kill the run `count` times, then let it end."""
        self.pace(1)
        job = self.submit(name)
        while sum(self.done.values()) < self.count:
            started = lambda job=job: self.cluster.state(job) == "RUNNING" or self.cluster.ended(job)  # noqa: E731
            self.cluster.wait(started, 120, f"the start of job {job}")
            early = self.fits.step(name) < STEPS / 2
            how = self.rng.choices(["SIGKILL", "preemption", "time limit"], [5, 4, early])[0]
            self.pace(SLOWLY if how == "time limit" else 1)
            if how != "time limit":
                self.wait_for_a_moment(name, job)
            job = self.end(name, job, how)
            if self.cluster.state(job) == "COMPLETED":
                break
            self.done[how] += 1
            print(
                f"{self.fits.family}: {sum(self.done.values())} {how} at step {self.fits.step(name)}",
                flush=True,
            )
        self.pace(1)
        if self.cluster.wait_for(job, timeout=300) != "COMPLETED":
            raise RuntimeError(self.fits.said(name)[-5000:])

    def pace(self, times: int) -> None:
        """How much longer steps take from now on."""
        fresh = self.sleep.with_suffix(".tmp")
        fresh.write_text(str(times * SECONDS / STEPS))
        fresh.replace(self.sleep)

    def submit(self, name: str) -> int:
        options = ["--partition=batch", "--signal=USR2@10"]
        return self.fits.submit(name, *options, sleep=self.sleep)

    def wait_for_a_moment(self, name: str, job: int) -> None:
        """A while into start-up, or into training."""
        if self.rng.random() < 0.2:
            time.sleep(self.rng.uniform(0, 8))
            return
        metrics, since = self.fits.run(name).metrics, time.time()
        # metrics.csv is cut, and so written, when training begins
        while (
            not (metrics.is_file() and metrics.stat().st_mtime > since)
            and self.cluster.state(job) == "RUNNING"
        ):
            time.sleep(0.05)
        # By steps and not by the clock: on a busy machine every life would end before its first step.
        step, lives = self.fits.step(name), self.count - sum(self.done.values()) + 1
        goal = step + self.rng.randint(0, 2 * (STEPS - step) // lives)
        while self.fits.step(name) < goal and self.cluster.state(job) == "RUNNING":
            time.sleep(0.05)
        time.sleep(self.rng.uniform(0, SECONDS / STEPS))

    def end(self, name: str, job: int, how: str) -> int:
        """End this life; the job in which the next one is lived."""
        before = self.cluster.restarts(job)
        if how == "SIGKILL":
            self.cluster.ask("scancel", "--signal=KILL", job)
            # Before its first step there is nobody to kill but the batch script.
            end = time.monotonic() + 10
            while not self.cluster.ended(job) and time.monotonic() < end:
                time.sleep(0.1)
            if not self.cluster.ended(job):
                self.cluster.ask("scancel", "--signal=KILL", "--full", job)
                self.cluster.wait_for(job, timeout=60)
            return job if self.cluster.state(job) == "COMPLETED" else self.submit(name)
        if how == "preemption":
            words = [
                "--partition=urgent",
                "-N2",
                "--exclusive",
                f"--output={self.cluster.root}/urgent.out",
            ]  # all there is
            self.cluster.submit(*words, "--wrap", "sleep 1")
        else:
            self.cluster.run("scontrol", "update", f"JobId={job}", f"EndTime=now+{self.rng.randint(2, 12)}")
        gone = lambda: self.cluster.restarts(job) > before or self.cluster.ended(job)  # noqa: E731
        self.cluster.wait(gone, 150, f"the end of a life of job {job} by {how}")
        if self.cluster.restarts(job) > before + 1:
            raise RuntimeError(f"job {job} was requeued twice\n{self.fits.said(name)}")
        if self.cluster.ended(job) and self.cluster.state(job) != "COMPLETED":
            return self.submit(name)
        return job


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--family", choices=FAMILIES, action="append", help="all unless given")
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 2))
    args = parser.parse_args()
    with Cluster() as cluster:
        cluster.environment["GENLAB_DOCTOR"] = "off"
        for family in args.family or FAMILIES:
            (home := cluster.root / "kills" / family).mkdir(parents=True)
            fits = Fits(cluster, home, family, args.nodes, STEPS)
            if cluster.wait_for(fits.submit("whole"), timeout=300) != "COMPLETED":
                raise RuntimeError(fits.said("whole"))
            killer = Killer(fits, random.Random(f"{args.seed} {family}"), args.count)
            began = time.monotonic()
            killer.run("killed")
            assert_uninterrupted(fits.run("whole"), fits.run("killed"))
            lives = ", ".join(f"{count} by {how}" for how, count in killer.done.items())
            print(f"{family}: bit-equal after {lives}; {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
