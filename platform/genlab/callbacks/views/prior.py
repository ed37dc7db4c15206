"""What the prior's latents decode to, beside what encoded ones do: where these differ, the prior is to blame."""

import torch
from PIL import Image
from torch import Tensor

from genlab.callbacks.grids import image_grid, over, side_by_side
from genlab.callbacks.views.view import Picture, Scene
from genlab.core import ModalitySpec

COLUMNS = 8
NUM = 4 * COLUMNS


def prior(scene: Scene) -> Picture:
    """Left: validation images over their reconstructions. Right: decoded draws of the prior, as many rows."""
    x = scene.x[: NUM // 2]
    z = scene.model.sample_latents(scene.streams(2 * len(x)))
    left = over(x.float(), scene.model.reconstruct(x).float(), COLUMNS)
    right = scene.model.decode(z).float()
    caption = "left: validation images over reconstructions; right: decoded draws of the prior"
    return Picture(caption, lambda: _draw(left, right, scene.spec["image"]))


def _draw(left: Tensor, right: Tensor, spec: ModalitySpec) -> Image.Image:
    columns = min(COLUMNS, len(left) // 2)
    return side_by_side([image_grid(torch.as_tensor(x), spec, columns) for x in (left, right)])
