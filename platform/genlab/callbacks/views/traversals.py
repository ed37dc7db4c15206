"""What single latent dimensions do to an image."""

from functools import partial

from genlab.callbacks.grids import image_grid
from genlab.callbacks.views.view import Picture, Scene
from genlab.solvers.latent_walks import decoded, traversal

NUM_DIMS = 10  # those that carry most
NUM_STEPS = 9
REACH = 2.0  # standard deviations of the prior


def traversals(scene: Scene) -> Picture:
    """A row per latent dimension, what carries most first: it goes from -2 to 2 deviations of the prior.

    All other dimensions are those of the first validation image.
    """
    axes, z = scene.axes, scene.latents[:1]
    dims = axes.order[:NUM_DIMS]
    x = decoded(scene.model, traversal(z, axes, dims, NUM_STEPS, REACH), z.ndim - 1)
    carried = ", ".join(f"z{d} {axes.carried[d]:.2g}" for d in dims.tolist())
    of = "KL in nats" if axes.unit == "nats" else "variance over the prior's"
    caption = (
        f"one latent a row, -{REACH:g} to {REACH:g} deviations around a validation image; {of}: {carried}"
    )
    return Picture(caption, partial(image_grid, x.flatten(0, 2), scene.spec["image"], NUM_STEPS))
