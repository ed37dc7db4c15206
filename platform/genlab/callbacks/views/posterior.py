"""How far draws of one image's posterior differ."""

from functools import partial

import torch

from genlab.callbacks.grids import image_grid
from genlab.callbacks.views.view import Picture, Scene
from genlab.core import RandomStreams

NUM_IMAGES = 6
NUM_DRAWS = 7


def posterior(scene: Scene) -> Picture:
    """A row per validation image: itself, the decoding of its posterior's mean, and those of draws."""
    x = scene.x[:NUM_IMAGES]
    rng = RandomStreams(scene.seed, len(x) * NUM_DRAWS, x.device)
    draws = scene.model.encode_draw(x.repeat_interleave(NUM_DRAWS, 0), rng)
    mean = scene.model.decode(scene.model.encode(x)).float()
    drawn = scene.model.decode(draws).float().unflatten(0, (len(x), NUM_DRAWS))
    rows = torch.cat([x.float()[:, None], mean[:, None], drawn], 1)
    caption = "validation image, decoded posterior mean, decoded posterior draws"
    return Picture(caption, partial(image_grid, rows.flatten(0, 1), scene.spec["image"], NUM_DRAWS + 2))
