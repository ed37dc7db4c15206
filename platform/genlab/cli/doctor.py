"""`lightning doctor [arguments of fit]`: check this machine or allocation before training on it.

One line a check: python, torch, devices, config, run directory, data, W&B, and the world: all ranks answer and
their all-reduce is right. Within a SLURM job, run it as the training will be: srun lightning doctor --config ...
The exit status is 1 where one fails; its line says the remedy. A W&B server that does not answer fails where
run.wandb is "online", and is warned of where the run would log offline. --timeout SECONDS (60) is how long ranks
wait.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from genlab.cli import cluster, fit, resume
from genlab.cli.config_check import ParsedFit, root_of_runs
from genlab.cli.options import take
from genlab.core import UserError
from genlab.experiments.doctor import (
    Finding,
    check_data,
    check_devices,
    check_python,
    check_run_directory,
    check_torch,
    check_wandb,
    check_world,
    examine,
)
from genlab.experiments.doctor.places import check_shared
from genlab.experiments.doctor.world import leave
from genlab.experiments.world import World


def run(words: list[str]) -> int:
    """Run all checks; 1 where one of them fails on this rank."""
    if "-h" in words or "--help" in words:
        print(__doc__)
        return 0
    fit.quieten()
    timeout, words = timeout_of(words)
    world = World.current()
    findings: list[Finding] = []

    def check(name: str, work: Any) -> None:
        finding = examine(name, work)
        findings.append(finding)
        if world.rank == 0 or not finding.ok:
            stream = sys.stdout if finding.ok and not finding.warned else sys.stderr
            rank = f" (rank {world.rank})" if world.size > 1 and not finding.ok else ""
            print(f"{finding}{rank}", file=stream, flush=True)

    check("python", check_python)
    check("torch", check_torch)
    config = Config(words)
    if words:
        check("config", config.read)
    section = config.section
    accelerator = section.trainer.accelerator if section else "auto"
    root = Path(section.run.root) if section else root_of_runs(words)
    mark = f".doctor.{world.port or 'alone'}"
    if section:
        check("allocation", lambda: check_allocation(section.trainer, world))
    count = int(section.trainer.devices) if section and str(section.trainer.devices).isdigit() else 1
    check("devices", lambda: check_devices(accelerator, count))
    check("run directory", lambda: check_run_directory(root, mark, world.rank))
    if config.data:
        check("data", lambda: check_data(config.data, world.size, world.rank))
    if world.rank == 0:
        check("wandb", lambda: check_wandb(section.run.wandb if section else "auto"))
    on_gpu = accelerator in ("gpu", "cuda") and all(f.ok for f in findings if f.name == "devices")
    check("world", lambda: check_world(world, on_gpu, timeout))
    if findings[-1].ok and world.size > 1:
        check("shared", lambda: check_shared(root, mark))
    leave(world)
    if world.rank == 0:
        with suppress(OSError):  # where it could not be written, which was said above
            (root / mark).unlink()
    return 0 if all(finding.ok for finding in findings) else 1


class Config:
    """The words of `fit`: what they say, and the data that they ask for, as far as they can be read."""

    def __init__(self, words: list[str]):
        self.words = words
        self.section: Any = None
        self.data: Any = None

    def read(self) -> str:
        """Parse the words and build the model and the data."""
        plan = resume.plan("fit", self.words)
        parsed = ParsedFit(plan)
        self.section = parsed.section
        model, self.data = parsed.build()
        return f"{plan.config_name or 'no file'}: {type(model).__name__} on {self.data.spec.name}"


def check_allocation(trainer: Any, world: World) -> str:
    """The trainer asks for the processes that there are."""
    cluster.check_allocation(trainer)
    return f"{trainer.num_nodes} nodes, {trainer.devices} devices each, {world.size} processes"


def timeout_of(words: list[str]) -> tuple[float, list[str]]:
    """Take `--timeout` out of the words.

    Raises:
        UserError: it is no number.
    """
    left = list(words)
    value = take(left, "--timeout")
    try:
        return float(value or 60), left
    except ValueError as error:
        raise UserError(f"timeout: got {value!r}, expected seconds; pass --timeout 60") from error
