"""Checkpoints from which a run continues exactly: best, last, and on the way out."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from genlab.callbacks.stopping import Stopped
from genlab.core import WorkError, require
from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.reconstruction import RECONSTRUCTION_SCORES
from genlab.metrics.scores import METRICS
from genlab.stop_signals import STOPPING, stop_signals

log = logging.getLogger(__name__)
SCORES = [f"val/{score}" for metric in METRICS.values() for score in metric.better]
SCORES += [f"val/{score}" for metric in DISENTANGLEMENT.values() for score in metric.scores]
SCORES += [f"val/{score}" for scores in RECONSTRUCTION_SCORES.values() for score in scores]


class ExactCheckpoint(Checkpoint):
    """Saves `last.ckpt` and `best.ckpt` in the run directory, at points from which resume is exact.

    A checkpoint is written when the *next* batch starts: then the step's update, its validation and its logging
    are all done, in this order, and none of them is lost or repeated after a resume. Lightning has by then
    counted the batch that is about to start, which `on_save_checkpoint` takes back. Nothing is saved within
    an accumulation window.

    SIGINT (Ctrl-C), SIGTERM, SIGUSR1 and SIGUSR2 ask for a stop: the step is finished, a checkpoint is saved, and
    training ends with `Stopped`. A second Ctrl-C stops at once. It is enough that one rank is asked: all ranks
    agree on the batch after which they stop.

    Args:
        every_n_steps: optimiser steps between two saves of last.ckpt; 0 saves only after validations.
        monitor: the metric by which best.ckpt is chosen, as logged ("val/fid"); None keeps no best. Nor does
            "val/loss" of a model whose `loss_ranks` is False: its loss does not tell a better model.
        mode: whether smaller ("min") or larger ("max") is better.
        keep_every_n_steps: optimiser steps between two that stay, as step_<number>.ckpt, for scores over training;
            `lightning prune` removes them; 0 keeps none.
        sync_every_seconds: how often several ranks agree on whether one of them was asked to stop.
    """

    def __init__(
        self,
        every_n_steps: int = 500,
        monitor: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
        keep_every_n_steps: int = 0,
        sync_every_seconds: float = 2.0,
    ):
        require(
            every_n_steps >= 0,
            "checkpoint.every_n_steps",
            every_n_steps,
            "0 or more",
            "0 saves at validations",
        )
        name = "checkpoint.keep_every_n_steps"
        require(keep_every_n_steps >= 0, name, keep_every_n_steps, "0 or more", "0 keeps none on the way")
        self.every_n_steps = every_n_steps
        self.monitor = monitor
        self.mode = mode
        self.keep_every_n_steps = keep_every_n_steps
        self.sync_every_seconds = sync_every_seconds
        self.best_score: float | None = None
        self.best_step: int | None = None
        self.about: dict[str, Any] = {}  # what a checkpoint says of itself: config, spec, provenance
        self._save_last = self._save_best = self._save_kept = False
        self._saved_step = self._kept_step = -1
        self._step_at_start = -1
        self._first_batch = 0
        self._next_sync, self._last_sync = 0, (0, 0.0)  # batch; batch and time
        self._loader_state: Any = None
        self._batches_that_stepped: int | None = None
        self._said = False

    # -- when to save ------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Before the next batch is fetched: the loader's own count is that of finished batches only now.
        self._loader_state = trainer.fit_loop._combined_loader._state_dicts()
        step = trainer.global_step
        if self.every_n_steps and step and step % self.every_n_steps == 0 and step != self._saved_step:
            self._save_last = True
        if (
            self.keep_every_n_steps
            and step
            and step % self.keep_every_n_steps == 0
            and step != self._kept_step
        ):
            self._save_last = self._save_kept = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._save_last = True
        if self.monitor == "val/loss" and not getattr(pl_module, "loss_ranks", True):
            self._warn(trainer, "'val/loss', which does not fall as samples of this model improve")
            return
        score = trainer.callback_metrics.get(self.monitor) if self.monitor else None
        if score is None:
            self._say_what_is_missing(trainer)
        if score is None or not torch.isfinite(score):
            return
        sign = 1 if self.mode == "min" else -1
        if self.best_score is None or sign * float(score) < sign * self.best_score:
            self.best_score, self.best_step = float(score), trainer.global_step
            self._save_best = True

    def _say_what_is_missing(self, trainer: Trainer) -> None:
        """Once, and not of scores, which some validations leave out."""
        if self.monitor in (None, *SCORES):
            return
        there = (
            ", ".join(name for name in trainer.callback_metrics if name.startswith("val/")) or "nothing yet"
        )
        self._warn(trainer, f"{self.monitor!r}, but validation logs {there}")

    def _warn(self, trainer: Trainer, got: str) -> None:
        """Once, that there will be no best checkpoint."""
        if self._said or not trainer.is_global_zero:
            return
        self._said = True
        remedy = "pass --checkpoint.monitor=val/fid or another score"
        log.warning("checkpoint.monitor: got %s: no best.ckpt is kept; %s", got, remedy)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        loop = trainer.fit_loop.epoch_loop
        if self._batches_that_stepped is not None:
            # Lightning counts a batch once more when it resumes where a validation was due.
            loop._batches_that_stepped, self._batches_that_stepped = self._batches_that_stepped, None
        self._step_at_start = trainer.global_step
        asked = self._asked = self._asked or self._agree_to_stop(trainer)
        if (self._save_last or self._save_best or asked) and self._at_boundary(trainer):
            if loop.total_batch_idx > self._first_batch:
                self._save(trainer)
            if asked:
                last = self._path(trainer, "last")
                raise Stopped(asked, trainer.global_step, last if last.is_file() else None)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step > 0:
            self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        # Only where nothing of the failed batch has reached the weights. A critic's step is not counted, so
        # manual optimisation keeps its last checkpoint.
        untouched = (
            trainer.state.fn == "fit"
            and pl_module.automatic_optimization
            and trainer.world_size == 1
            and not isinstance(exception, WorkError)
            and 0 < trainer.global_step == self._step_at_start != self._saved_step
        )
        if untouched and self._at_boundary(trainer):
            self._save(trainer)
        if "SLURM_JOB_ID" not in os.environ:  # else a preempted job is signalled again while it leaves
            stop_signals.restore()  # Lightning tears down no callbacks after an exception

    # -- saving ------------------------------------------------------------------------------------------------

    def _at_boundary(self, trainer: Trainer) -> bool:
        """Whether the batch that has started opens an accumulation window."""
        progress = trainer.fit_loop.epoch_loop.batch_progress.current
        return (
            progress.ready > progress.completed
            and (progress.ready - 1) % trainer.accumulate_grad_batches == 0
        )

    def _path(self, trainer: Trainer, name: str) -> Path:
        return Path(trainer.default_root_dir) / "checkpoints" / f"{name}.ckpt"

    def _save(self, trainer: Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()
        also = ["best"] * self._save_best + [f"step_{trainer.global_step:08d}"] * self._save_kept
        trainer.save_checkpoint(self._path(trainer, "last"), weights_only=False, storage_options=also)
        if self._save_kept:
            self._kept_step = trainer.global_step
        self._save_last = self._save_best = self._save_kept = False
        self._saved_step = trainer.global_step

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["genlab"] = self.about
        loops = checkpoint["loops"]["fit_loop"]
        progress = loops["epoch_loop.batch_progress"]
        if progress["current"]["ready"] > progress["current"]["completed"]:
            for count in (progress["total"], progress["current"]):
                done = count["completed"]
                count.update(ready=done, started=done, processed=done)
            progress["is_last_batch"] = False
            if self._loader_state:
                loops["state_dict"]["combined_loader"] = self._loader_state

    def state_dict(self) -> dict[str, Any]:
        loop = self._loop
        return {
            "best_score": self.best_score,
            "best_step": self.best_step,
            "batches_that_stepped": loop._batches_that_stepped if loop else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best_score, self.best_step = state["best_score"], state["best_step"]
        self._batches_that_stepped = state["batches_that_stepped"]

    # -- beginning and end -------------------------------------------------------------------------------------

    _loop: Any = None
    _asked: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            # Lightning's own handlers stop without saving, and make a collective call from within a signal.
            trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
            stop_signals.install(*(number for number in STOPPING if number != signal.SIGINT))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._loop = trainer.fit_loop.epoch_loop
        self._first_batch = self._next_sync = self._loop.total_batch_idx + 1
        self._last_sync = self._next_sync, time.monotonic()
        stop_signals.install(signal.SIGINT)  # not before: there is nothing yet to wait for
        if stop_signals.begin() and trainer.is_global_zero:
            log.warning(
                "the warning of the time limit came before training began: raise --time, or lower --signal"
            )
        if trainer.is_global_zero:
            folder = self._path(trainer, "last").parent
            for left in folder.glob(".*.tmp"):  # by a kill in the middle of a save
                left.unlink()

    def _agree_to_stop(self, trainer: Trainer) -> int | None:
        """The signal that any rank was asked to stop by; several ranks look once in `sync_every_seconds`."""
        if trainer.world_size == 1:
            return stop_signals.asked
        batch, now = self._loop.total_batch_idx, time.monotonic()
        if batch < self._next_sync:
            return None
        since, then = self._last_sync
        pace = (batch - since) / max(now - then, 1e-6)  # batches a second, by which the next time is chosen
        wanted = max(1, int(self.sync_every_seconds * pace))
        ours = torch.tensor([stop_signals.asked or 0, wanted], device=trainer.strategy.root_device)
        asked, wait = trainer.strategy.reduce(ours, reduce_op="max").tolist()
        self._next_sync, self._last_sync = batch + int(wait), (batch, now)
        return int(asked) or None

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        stop_signals.restore()
        self._loop = None
