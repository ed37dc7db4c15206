"""Ways between encoded images."""

from functools import partial

from genlab.callbacks.grids import image_grid
from genlab.callbacks.views.view import Picture, Scene
from genlab.solvers.latent_walks import decoded, interpolation, walks_on_sphere

NUM_PAIRS = 6
NUM_STEPS = 9


def interpolations(scene: Scene) -> Picture:
    """A row per pair of validation images: from the first's latents to the second's, both ends decoded, too."""
    z = scene.latents[: 2 * NUM_PAIRS]
    pairs, spherical = len(z) // 2, walks_on_sphere(scene.model)
    way = interpolation(z[0 : 2 * pairs : 2], z[1 : 2 * pairs : 2], NUM_STEPS, spherical)
    x = decoded(scene.model, way, z.ndim - 1)
    caption = f"{'spherical' if spherical else 'linear'} interpolation between encoded validation images"
    return Picture(caption, partial(image_grid, x.flatten(0, 1), scene.spec["image"], NUM_STEPS))
