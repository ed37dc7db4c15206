"""More devices than there are is refused: on CPUs, those of the machine, or those that SLURM gave."""

from types import SimpleNamespace

import pytest
import torch

from genlab.cli.trainer_settings import check_devices
from genlab.core import UserError


def test_in_a_job_slurm_counts_the_cores(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.multiprocessing, "cpu_count", lambda: 4)
    trainer = SimpleNamespace(devices=8, accelerator="cpu")
    for name in ("SLURM_JOB_ID", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"trainer.devices: got 8, expected 1 to 4 \(CPU cores here\)"):
        check_devices(trainer)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    check_devices(trainer)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    with pytest.raises(UserError, match="expected 1 to 2"):
        check_devices(trainer)
