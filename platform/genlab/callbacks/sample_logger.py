"""Grids of samples at fixed seeds, on disk and in loggers."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image

from genlab.callbacks.grids import save_gif, save_png, with_caption
from genlab.callbacks.pictures import Pictures, can_be_drawn
from genlab.callbacks.view_pictures import look
from genlab.callbacks.views import Names, choose_views, known_views
from genlab.core import require

MAX_FRAMES = 60  # of the history
CAPTIONS = {"path": "from noise to data, step", "history": "the same latents, step 0 to"}

log = logging.getLogger(__name__)


class SampleLogger(Callback):
    """Draws the same latents every so often, so that pictures of one run, and of several, can be compared.

    Sample i has the noise of stream (seed, i) and, for conditional models, class i mod the number of classes,
    so that a grid's columns are classes. The averaged weights are used, where there are any. In the run's
    samples/ folder: `step_00001000.png` and so on (from step 0, untrained), `latest.png`,
    `reconstructions.png` (rows of validation images over their reconstructions), and at the end `history.gif` and
    `path.gif` (from noise to data). Models with latents or tokens get views of these, now and then and at the end:
    `prior.png` (decoded draws of it beside reconstructions), `posterior.png`, `traversals.png`,
    `interpolations.png`, `aggregate.png`, `tokens.png`, `codes.png`, `usage.png`, whatever they have a capability
    for. Loggers that take images get `samples/grid`, `samples/reconstructions` and so on. Points in the plane become
    scatter plots over the validation set's. Other data, and families that make none, are skipped, which is said once.

    Args:
        every_n_steps: optimiser steps between two grids; 0 turns all of this off.
        num: samples per grid (of points, 32 times as many), less what does not fill a row.
        seed: of the random streams.
        num_reconstructions: pairs of original and reconstruction; 0 for none.
        num_frames: of the animated path from noise to data; 0 for none.
        views: "auto" (all that the model has a capability for), "none", or their names.
        views_every: grids from one set of views to the next, the untrained one not counted; 0 for the end alone.

    Raises:
        UserError: a number is negative, there are no samples in a grid, or a view does not exist or is not the model's.
    """

    def __init__(
        self,
        every_n_steps: int = 1000,
        num: int = 64,
        seed: int = 0,
        num_reconstructions: int = 16,
        num_frames: int = 16,
        views: Names = "auto",
        views_every: int = 5,
    ):
        self.every_n_steps, self.pictures = every_n_steps, Pictures(num, seed)
        self.num_reconstructions, self.num_frames = num_reconstructions, num_frames
        self.views, self.views_every, self._views = known_views(views), views_every, []
        counts = {"every_n_steps": every_n_steps, "num_frames": num_frames, "views_every": views_every}
        for name, value in {**counts, "num_reconstructions": num_reconstructions}.items():
            require(value >= 0, f"samples.{name}", value, "0 or more", "pass 0 for none")
        require(num > 0, "samples.num", num, "a positive integer", "pass --samples.every_n_steps=0 for none")
        self._drawn = self._viewed = -1  # the steps of the last grid and of the last views
        self._enabled = False

    # ---- when

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        wanted = stage == "fit" and self.every_n_steps > 0
        self._views = choose_views(self.views, pl_module) if wanted else []
        self._enabled = wanted and (can_be_drawn(pl_module) or bool(self._views))
        if wanted and not self._enabled and trainer.is_global_zero:
            log.warning(
                "samples: %s makes nothing that can be drawn: none are logged", type(pl_module).__name__
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drawn = trainer.global_step  # a resumed run has drawn it already
        if self._enabled and trainer.global_step == 0:
            self._log_pictures(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        step = trainer.global_step
        if self._enabled and step % self.every_n_steps == 0 and step != self._drawn:
            self._log_pictures(trainer, pl_module)
            if self.views_every and step // self.every_n_steps % self.views_every == 0:
                self._log_views(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._enabled:
            return
        if trainer.global_step != self._drawn:
            self._log_pictures(trainer, pl_module)
        if trainer.global_step != self._viewed:
            self._log_views(trainer, pl_module)
        frames = self.pictures.path(trainer, pl_module, self.num_frames)
        if trainer.is_global_zero:
            self._log_animation(trainer, "path", frames)
            self._log_animation(trainer, "history", _history(_folder(trainer)))

    # ---- where

    def _log_pictures(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drawn = step = trainer.global_step
        grid = self.pictures.grid(trainer, pl_module)
        pairs = self.pictures.reconstructions(trainer, pl_module, self.num_reconstructions)
        if not trainer.is_global_zero:
            return
        if grid is not None:
            save_png(grid, _folder(trainer) / f"step_{step:08d}.png")
            self._log_image(trainer, "grid", grid, f"step {step:,}", file="latest")
        if pairs is not None:
            self._log_image(trainer, "reconstructions", pairs, f"step {step:,}")

    def _log_views(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = self._viewed = trainer.global_step
        pictures = look(trainer, pl_module, self._views, self.pictures.seed)
        for name, picture in pictures.items() if trainer.is_global_zero else ():
            self._log_image(trainer, name, picture.draw(), f"step {step:,}: {picture.caption}")

    def _log_image(
        self, trainer: Trainer, name: str, image: Image.Image, caption: str, file: str = ""
    ) -> None:
        save_png(image, _folder(trainer) / f"{file or name}.png")
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                logger.log_image(f"samples/{name}", [image], step=trainer.global_step, caption=[caption])

    def _log_animation(self, trainer: Trainer, name: str, frames: Sequence[Image.Image]) -> None:
        if len(frames) < 2:
            return
        path = _folder(trainer) / f"{name}.gif"
        save_gif(frames, path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_video"):
                step, caption = trainer.global_step, CAPTIONS[name]
                words = {"format": ["gif"], "caption": [f"{caption} {step:,}"]}
                logger.log_video(f"samples/{name}", [str(path)], step=step, **words)


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "samples"


def _history(folder: Path) -> list[Image.Image]:
    """The grids of the whole run, its earlier segments included, with their steps written below."""
    paths = sorted(folder.glob("step_*.png"))
    if len(paths) > MAX_FRAMES:
        paths = [paths[round(i * (len(paths) - 1) / (MAX_FRAMES - 1))] for i in range(MAX_FRAMES)]
    frames = [with_caption(Image.open(path), f"step {int(path.stem[5:]):,}") for path in paths]
    return [frame for frame in frames if frame.size == frames[-1].size]
