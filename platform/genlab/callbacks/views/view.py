"""What a view of latents or tokens is, and what it is drawn from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from PIL import Image
from torch import Tensor

from genlab.core import DataSpec, RandomStreams
from genlab.solvers.latent_axes import LatentAxes, encoded, latent_axes


@dataclass(frozen=True)
class Picture:
    """A picture to be drawn: the model's part of the work is done, on every rank; the first rank draws.

    Args:
        caption: what is seen, in words.
        draw: makes the image.
    """

    caption: str
    draw: Callable[[], Image.Image]


@dataclass(frozen=True)
class Scene:
    """A model and fixed data, always the same ones, to look at it with.

    Args:
        model: in eval mode, with its averaged weights.
        x: validation data, (N, ...), on the model's device.
        labels: their classes, (N,), or None.
        seed: of the random streams.
    """

    model: Any
    x: Tensor
    labels: Tensor | None
    seed: int

    @property
    def spec(self) -> DataSpec:
        """Of the data."""
        return self.model.spec

    @cached_property
    def latents(self) -> Tensor:
        """Of all data, (N, *latent) in float32."""
        return encoded(self.model, self.x)

    @cached_property
    def axes(self) -> LatentAxes:
        """What each latent dimension carries."""
        return latent_axes(self.model, self.x, self.latents)

    def streams(self, num: int) -> RandomStreams:
        """The first `num` of the random streams."""
        return RandomStreams(self.seed, num, self.x.device)


@dataclass(frozen=True)
class View:
    """One kind of picture, and what a model must be able to do for it.

    Args:
        needs: capabilities.
        look: makes the picture, or None where this model's latents or tokens have no such picture.
        images: whether the data must be images that can be drawn.
    """

    needs: tuple[type, ...]
    look: Callable[[Scene], Picture | None]
    images: bool = True

    def suits(self, model: Any) -> bool:
        """Whether the model can do what is needed, and makes data that can be drawn where they must be."""
        spec = getattr(model, "spec", None)
        if not isinstance(spec, DataSpec) or not all(isinstance(model, need) for need in self.needs):
            return False
        return not self.images or (spec.data == "image" and spec.shape[0] in (1, 3))
