"""Validation data to look at a model with: always the same ones."""

from lightning.pytorch import Trainer
from torch import Tensor


def held_out(trainer: Trainer, num: int) -> dict[str, Tensor] | None:
    """The first `num` validation data in the DataModule's fixed order, on the trainer's device; None without any."""
    if not hasattr(trainer.datamodule, "batches"):
        return None
    batch = next(iter(trainer.datamodule.batches("val", batch_size=num, num=num)), None)
    device = trainer.strategy.root_device
    return None if batch is None else {name: value.to(device) for name, value in batch.items()}
