"""Settings of Lightning's Trainer that it would misunderstand, or that do not go together with a run directory."""

from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.strategies import StrategyRegistry

from genlab.core import invalid, require
from genlab.experiments.slurm_job import SlurmJob


def check_trainer(trainer: Any) -> None:
    """Refuse what can't be.

    Raises:
        UserError: naming the setting and what to set in its place.
    """
    own = "trainer.default_root_dir"
    require(trainer.default_root_dir is None, own, trainer.default_root_dir, "none", "pass --run.root=DIR")
    for name, wrong, remedy in (
        ("enable_checkpointing", False, "for fewer checkpoints, pass --checkpoint.every_n_steps"),
        ("barebones", True, "to measure speed, see throughput/ in metrics.csv"),
    ):
        value = getattr(trainer, name)
        require(value is not wrong, f"trainer.{name}", value, str(not wrong).lower(), remedy)
    check_names(trainer)
    check_lengths(trainer)
    check_devices(trainer)


def check_names(trainer: Any) -> None:
    """Refuse names of accelerators and strategies that Lightning does not have.

    Raises:
        UserError: naming those that it has.
    """
    for setting, names, remedy in (
        ("accelerator", ["auto", "gpu", *AcceleratorRegistry.available_accelerators()], "pass auto"),
        (
            "strategy",
            ["auto", *StrategyRegistry.available_strategies()],
            "for weights in shards, pass --config configs/trainer/fsdp.yaml",
        ),
    ):
        given = getattr(trainer, setting)
        known = not isinstance(given, str) or given in names
        require(known, f"trainer.{setting}", given, f"one of {', '.join(sorted(names))}", remedy)


def check_lengths(trainer: Any) -> None:
    """Refuse trainings of no steps, and windows of none.

    Raises:
        UserError: naming the setting.
    """
    endless = "a positive number, or -1 for no limit"
    for name in ("max_steps", "max_epochs"):
        value = getattr(trainer, name)
        ok = value is None or value > 0 or value == -1
        require(ok, f"trainer.{name}", value, endless, f"pass --trainer.{name}=1000 for example")
    for name in ("accumulate_grad_batches", "val_check_interval"):
        value = getattr(trainer, name)
        ok = not isinstance(value, (int, float)) or value > 0
        require(ok, f"trainer.{name}", value, "a positive number", "leave it out for the default")


def check_devices(trainer: Any) -> None:
    """Refuse more devices than there are, or than SLURM gave; on a CPU, Lightning would start them all.

    Raises:
        UserError: naming how many there are.
    """
    devices, accelerator = trainer.devices, trainer.accelerator
    on_gpu = accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())
    job = SlurmJob.current()
    cores = (job and job.cpus) or torch.multiprocessing.cpu_count()
    there = torch.cuda.device_count() if on_gpu else cores
    kind = "GPUs" if on_gpu else "CPU cores"
    if accelerator in ("gpu", "cuda") and not there:
        raise invalid(
            "trainer.accelerator", accelerator, "a GPU, and there is none", "pass --trainer.accelerator=cpu"
        )
    try:
        asked = int(devices) if not isinstance(devices, list) else len(devices)
    except ValueError:
        if devices == "auto":
            return
        asked = 0
    if asked == 0 or asked > there:
        raise invalid("trainer.devices", devices, f"1 to {there} ({kind} here)", "pass --trainer.devices=1")
