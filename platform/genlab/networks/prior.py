"""What a prior p(z) gives."""

from collections.abc import Callable

from torch import Tensor, nn

from genlab.core import DataSpec, RandomStreams
from genlab.probability import LatentDistribution

PosteriorOf = Callable[[Tensor], LatentDistribution]  # x (B, ...) -> q(z | x)


class Prior(nn.Module):
    """Base of these.

    Args:
        spec: of the data.
        latent_dim: dimension D of z.
    """

    def __init__(self, spec: DataSpec, latent_dim: int):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, like: Tensor, posterior: PosteriorOf) -> LatentDistribution:
        """p(z).

        Args:
            like: latents (..., D) whose device and type are wanted.
            posterior: q(z | x), for a prior that is made of it.
        """
        raise NotImplementedError

    def sample(self, rng: RandomStreams, posterior: PosteriorOf) -> Tensor:
        """One z per stream, (B, D)."""
        eps = rng.normal((self.latent_dim,))
        return self(eps, posterior).sample(eps)

    def begin(self, data: Callable[[int], Tensor]) -> None:
        """Start from data, before training, where the prior asks for that.

        Args:
            data: gives so many images of the training set, fewer where there are fewer.
        """


PriorFactory = Callable[[DataSpec, int], Prior]
