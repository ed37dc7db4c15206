"""What a model makes, drawn: samples of fixed latents, the path to them, reconstructions."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from genlab.callbacks.grids import columns_by_class, columns_of_pairs, even_labels, image_grid, over
from genlab.callbacks.held_out import held_out
from genlab.callbacks.inference import inference
from genlab.callbacks.plots import scatter
from genlab.core import CanReconstruct, CanShowPath, Condition, DataSpec, RandomStreams, why_no_samples

POINTS_PER_TILE = 32  # a cloud of points needs more samples than a grid of images
REFERENCE_POINTS = 2000


class Pictures:
    """Draws a model in training, under its averaged weights, always from the same latents.

    Sample i has the noise of stream (seed, i) and, for conditional models, class i mod the number of classes,
    so that a grid's columns are classes. Points in the plane are drawn over those of the validation set.

    Args:
        num: samples per grid (of points, 32 times as many), less what does not fill a row.
        seed: of the random streams.
    """

    def __init__(self, num: int, seed: int):
        self.num, self.seed = num, seed
        self._reference: Tensor | None = None  # validation points, for scatter plots

    def grid(self, trainer: Trainer, pl_module: LightningModule) -> Image.Image | None:
        """The samples of now; None where the family gives none."""
        if why_no_samples(pl_module):
            return None
        with inference(trainer, pl_module):
            samples = pl_module.sample(**self._request(pl_module))
        return self._draw(trainer, pl_module, samples)

    def path(self, trainer: Trainer, pl_module: LightningModule, num_frames: int) -> list[Image.Image]:
        """From noise to the samples of now; empty where the family can't show it."""
        able = isinstance(pl_module, CanShowPath) and not why_no_samples(pl_module)
        able = able and getattr(pl_module, "has_sample_path", True)
        if not (num_frames and able):
            return []
        with inference(trainer, pl_module):
            frames = pl_module.sample_path(**self._request(pl_module), num_frames=num_frames)
        return [self._draw(trainer, pl_module, frame) for frame in frames]

    def reconstructions(self, trainer: Trainer, pl_module: LightningModule, num: int) -> Image.Image | None:
        """Rows of validation images over their reconstructions; None where the family does not reconstruct."""
        spec = pl_module.spec
        if not (num and spec.data == "image" and isinstance(pl_module, CanReconstruct)):
            return None
        x = self._validation_data(trainer, spec, num)
        if x is None:
            return None
        columns = columns_of_pairs(len(x))
        with inference(trainer, pl_module):
            rows = over(x.float(), pl_module.reconstruct(x).float(), columns)
        return image_grid(rows, spec["image"], columns)

    def _validation_data(self, trainer: Trainer, spec: DataSpec, num: int) -> Tensor | None:
        batch = held_out(trainer, num)
        return None if batch is None else batch[spec.data]

    def _request(self, pl_module: LightningModule) -> dict[str, Any]:
        """Arguments for `sample`: whole rows, columns by class."""
        classes, device = _num_classes(pl_module), pl_module.device
        num = self.num if pl_module.spec.data == "image" else self.num * POINTS_PER_TILE
        num -= num % columns_by_class(num, classes)
        condition = Condition(label=even_labels(num, classes)).to(device) if classes else None
        return {"num_samples": num, "condition": condition, "rng": RandomStreams(self.seed, num, device)}

    def _draw(self, trainer: Trainer, pl_module: LightningModule, samples: Tensor) -> Image.Image:
        spec, classes = pl_module.spec, _num_classes(pl_module)
        if spec.data == "image":
            return image_grid(samples, spec["image"], columns_by_class(len(samples), classes))
        if self._reference is None:
            self._reference = self._validation_data(trainer, spec, REFERENCE_POINTS)
        return scatter(samples, even_labels(len(samples), classes) if classes else None, self._reference)


def can_be_drawn(pl_module: LightningModule) -> bool:
    """Whether there can be a grid: a family that makes grey or colour images, or points in the plane."""
    spec = getattr(pl_module, "spec", None)
    makes = isinstance(pl_module, CanReconstruct) or not why_no_samples(pl_module)
    if not (isinstance(spec, DataSpec) and makes):
        return False
    return spec.shape[0] in (1, 3) if spec.data == "image" else spec.shape == (2,)


def _num_classes(pl_module: LightningModule) -> int:
    """Classes that the model can be asked for; 0 for an unconditional one."""
    return pl_module.spec.num_classes if pl_module.conditional else 0
