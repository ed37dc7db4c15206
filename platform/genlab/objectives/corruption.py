"""Corruptions: what a denoising autoencoder has to undo."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.core import RandomStreams, require


class Corruption(ABC):
    """A random change of data, each value's independent of the others'."""

    @abstractmethod
    def __call__(self, x: Tensor, rng: RandomStreams | None = None) -> Tensor:
        """Corrupted data, in x's shape (B, ...).

        Args:
            x: data.
            rng: a stream per datum; without it, torch's own generator is used, as in training.
        """


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """x + scale eps, eps ~ N(0, I).

    Args:
        scale: standard deviation, in units of data in [-1, 1].

    Raises:
        UserError: the scale is not positive.

    Source: Vincent et al. 2010, "Stacked denoising autoencoders", section 3.3.
    """

    scale: float = 0.5

    def __post_init__(self) -> None:
        require(self.scale > 0, "scale", self.scale, "a positive number", "leave out the corruption for none")

    def __call__(self, x: Tensor, rng: RandomStreams | None = None) -> Tensor:
        eps = torch.randn_like(x) if rng is None else rng.normal(x.shape[1:]).to(x)
        return x + self.scale * eps


@dataclass(frozen=True)
class Masking(Corruption):
    """Each value is `fill` with a probability, else as it is.

    Args:
        probability: of a value to be lost.
        fill: what takes its place.

    Raises:
        UserError: the probability is outside (0, 1].

    Source: Vincent et al. 2008, "Extracting and composing robust features with denoising autoencoders", section 2.3.

    >>> Masking(0.5)(torch.ones(1, 4), RandomStreams(0, 1))
    tensor([[-1., -1., -1.,  1.]])
    """

    probability: float = 0.25
    fill: float = -1.0

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def __call__(self, x: Tensor, rng: RandomStreams | None = None) -> Tensor:
        return torch.where(uniform(x, rng) < self.probability, self.fill, x)


@dataclass(frozen=True)
class SaltAndPepper(Corruption):
    """Each value is -1 or 1, with half of a probability each, else as it is.

    Args:
        probability: of a value to be lost.

    Raises:
        UserError: it is outside (0, 1].

    Source: Vincent et al. 2010, section 3.3.

    >>> SaltAndPepper(0.5)(torch.zeros(1, 4), RandomStreams(0, 1)).abs()
    tensor([[1., 1., 1., 0.]])
    """

    probability: float = 0.25

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def __call__(self, x: Tensor, rng: RandomStreams | None = None) -> Tensor:
        u = uniform(x, rng)
        salt_or_pepper = torch.where(u < self.probability / 2, -1.0, 1.0).to(x)
        return torch.where(u < self.probability, salt_or_pepper, x)


def uniform(x: Tensor, rng: RandomStreams | None) -> Tensor:
    """A number in [0, 1) for each value of x."""
    return torch.rand_like(x) if rng is None else rng.uniform(x.shape[1:]).to(x)


def check_probability(probability: float) -> None:
    """Refuse what is none, or would change nothing.

    Raises:
        UserError: it is outside (0, 1].
    """
    remedy = "leave out the corruption for none"
    require(0 < probability <= 1, "probability", probability, "a probability in (0, 1]", remedy)
