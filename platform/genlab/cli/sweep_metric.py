"""Whether a sweep's trials will log its metric: asked of the model itself, by a step on two samples."""

import warnings
from collections.abc import Iterator
from itertools import count
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch.utils.data import DataLoader

from genlab.core import invalid
from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.reconstruction import RECONSTRUCTION_SCORES
from genlab.metrics.scores import METRICS

# What `Throughput` logs; the last two where the machine tells.
SPEEDS = ("samples_per_second", "step_ms", "data_wait", "peak_memory_gib", "watts", "flop_utilisation")


def check_metric(metric: str, section: Any, model: Any, data: Any) -> None:
    """Refuse a metric that nothing will log.

    Args:
        metric: its name.
        section: the parsed config of `fit`.
        model, data: as it builds them.

    Raises:
        UserError: naming those that are logged.
    """
    logged = {*scores(section.metrics), *validation_terms(model, data)}
    if section.throughput.every_n_steps:
        logged |= {f"throughput/{name}" for name in SPEEDS}
    if metric not in logged and metric.startswith("train/"):
        logged |= training_terms(section.health, model, data)
    if metric not in logged:
        kin = {name for name in logged if name.split("/")[0] == metric.split("/")[0]} or logged
        expected = f"one that a callback or {type(model).__name__} logs: {', '.join(sorted(kin))}"
        raise invalid("metric.name", metric, expected, "choose among these")


def scores(section: Any) -> list[str]:
    """What `GenerativeMetrics` logs with these settings."""
    if not section.every_n_steps:
        return []
    asked = (
        [*METRICS, *DISENTANGLEMENT, *RECONSTRUCTION_SCORES] if section.metrics == "auto" else section.metrics
    )
    given = {name: metric.better for name, metric in METRICS.items()}
    given |= {name: metric.scores for name, metric in DISENTANGLEMENT.items()}
    given |= RECONSTRUCTION_SCORES
    return [f"val/{score}" for name in asked for score in given[name]]


def validation_terms(model: Any, data: Any) -> set[str]:
    """What a family logs at validations."""
    logged: set[str] = set()
    model.log_terms = lambda phase, terms, batch: logged.update(f"{phase}/{name}" for name in terms)
    with model.evaluating(), torch.random.fork_rng(devices=[]):
        model.validation_step(_two(data), 0)
    return logged


def training_terms(health: Any, model: Any, data: Any) -> set[str]:
    """What a family and `Health` log in training: one optimiser step of a trainer that keeps names alone."""
    from genlab.callbacks import Health

    names = Names()
    model.log_terms = lambda phase, terms, batch: names.log_metrics(
        {f"{phase}/{name}": 0.0 for name in terms}
    )
    model.images_per_step = lambda: 1  # which the data module of a trainer knows
    callbacks = []
    if health.every_n_steps:
        callbacks = [Health(every_n_steps=1, zero_activations=health.zero_activations)]
    quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_steps=1,
            accelerator="cpu",
            devices=1,
            plugins=[LightningEnvironment()],
            logger=names,
            callbacks=callbacks,
            **quiet,
        )
        trainer.fit(model, train_dataloaders=DataLoader([_two(data)], batch_size=None))
    return names.seen


class Names(DummyLogger):
    """Keeps the names of what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.seen |= metrics.keys()


def _two(data: Any) -> Any:
    return next(iter(data.batches("val", batch_size=2, num=2)))


def check_validations(metric: str, section: Any, model: Any, data: Any) -> None:
    """Refuse trials that end before the metric is first computed.

    Raises:
        UserError: naming the batch after which it would be.
    """
    trainer, each = section.trainer, section.trainer.accumulate_grad_batches
    # Where a family steps its optimisers itself, it alone knows how many batches a step takes.
    if not metric.startswith("val/") or not model.automatic_optimization or trainer.max_steps < 1:
        return
    every = section.metrics.every_n_steps if metric in scores(section.metrics) else 1
    last = trainer.max_steps * each
    first = next((batch for batch in validations(trainer, data) if batch // each >= every), None)
    if first is not None and first > last:
        expected = (
            f"one that the trial's {trainer.max_steps} steps reach; it is computed after {first // each}"
        )
        raise invalid("metric.name", metric, expected, "lower trainer.val_check_interval, or raise max_steps")


def validations(trainer: Any, data: Any) -> Iterator[int]:
    """The batches, counted over all epochs, after which Lightning validates; none where that is not known."""
    interval, epochs = trainer.val_check_interval, trainer.check_val_every_n_epoch
    interval = 1.0 if interval is None else interval
    if not isinstance(interval, int | float):
        return
    if epochs is None:
        yield from count(int(interval), int(interval)) if interval >= 1 else ()
        return
    length = data.num_samples("train") // data.batch_size
    step = interval if isinstance(interval, int) else int(interval * length)
    if not 1 <= step <= length:
        return
    for epoch in count(epochs, epochs):
        yield from ((epoch - 1) * length + batch for batch in range(step, length + 1, step))
