"""The aggregate posterior in the plane, over the prior that it should fill."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genlab.callbacks.plots import blank, finished
from genlab.callbacks.views.view import Picture, Scene
from genlab.core import HasLatentPrior

NUM_PRIOR = 1000


@dataclass(frozen=True)
class Plane:
    """The plane of a cloud's two principal components.

    Args:
        mean: of the cloud, (D,).
        axes: orthonormal, (2, D), the widest first; each one's largest entry is positive.
        share: of the cloud's variance that is seen.
    """

    mean: Tensor
    axes: Tensor
    share: float

    @classmethod
    def of(cls, z: Tensor) -> "Plane":
        """By the points z, (N, D), of 2 dimensions or more.

        Source: Pearson 1901, "On lines and planes of closest fit to systems of points in space".
        """
        z = z.double()
        mean = z.mean(0)
        _, s, axes = torch.linalg.svd(z - mean, full_matrices=False)
        axes = axes[:2]
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        variance = s.square()
        return cls(mean, axes * largest.sign(), float(variance[:2].sum() / variance.sum().clamp(min=1e-30)))

    def project(self, z: Tensor) -> Tensor:
        """Points (N, D) in the plane, (N, 2)."""
        return (z.double() - self.mean) @ self.axes.T


def aggregate(scene: Scene) -> Picture | None:
    """Encoded validation data by class, projected to two dimensions by PCA, over draws of the prior.

    Where the prior is N(0, I), so that its projection is a circular Gaussian, circles of 1 and 2 deviations are drawn.
    """
    z = scene.latents.flatten(1).cpu()
    if z.shape[1] < 2 or len(z) < 3 or not z.isfinite().all():
        return None  # of a training that went astray, there is nothing to see
    plane, draws, centre = Plane.of(z), None, None
    if isinstance(scene.model, HasLatentPrior):
        prior = scene.model.sample_latents(scene.streams(NUM_PRIOR)).float().flatten(1).cpu()
        draws = plane.project(prior)
        centre = plane.project(torch.zeros_like(z[:1]))[0] if scene.model.normal_prior else None
    points, labels = plane.project(z), None if scene.labels is None else scene.labels.cpu()
    about = " by class" if labels is not None else ""
    over = "; grey: draws of the prior" if draws is not None else ""
    caption = f"encoded validation data{about}, {plane.share:.0%} of their variance{over}"
    return Picture(caption, lambda: draw(points, labels, draws, centre))


def draw(points: Tensor, labels: Tensor | None, prior: Tensor | None, centre: Tensor | None) -> Image.Image:
    """The plot: points (N, 2), the prior's below them, circles of radius 1 and 2 about `centre`."""
    canvas, axes = blank()
    if prior is not None:
        axes.scatter(*prior.numpy().T, s=4, c="lightgrey", linewidths=0)
    colours = "tab:blue" if labels is None else labels.numpy()
    shown = axes.scatter(
        *points.numpy().T, s=6, c=colours, cmap=None if labels is None else "tab10", linewidths=0
    )
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2) if centre is not None else ():
        x, y = (float(c) + radius * f(angle) for c, f in zip(centre, (np.cos, np.sin), strict=True))
        axes.plot(x, y, color="black", linewidth=0.8, linestyle="--")
    if labels is not None and len(labels.unique()) <= 10:
        axes.legend(*shown.legend_elements(), fontsize=6, loc="upper right")
    axes.set(xlabel="principal component 1", ylabel="principal component 2")
    return finished(canvas)
