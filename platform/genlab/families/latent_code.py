"""What a model with a posterior and a prior of one latent vector tells of its code."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.core import DataSpec, RandomStreams
from genlab.networks import DiagonalPosterior, Posterior, Prior, StandardPrior
from genlab.probability import LatentDistribution
from genlab.probability.known_kl import known_kl


class LatentCode:
    """Draws of q(z | x) and of p(z), and the rate KL(q(z | x) || p(z)), for a family that has both.

    Attributes:
        latent_dim: D.
        latent_spec: of what `encode` gives.
        posterior: x (B, ...) -> q(z | x).
        prior: latents whose device and type are wanted -> p(z).
        posterior_part, prior_part: the modules that make these.
    """

    latent_dim: int
    latent_spec: DataSpec
    device: torch.device
    posterior: Callable[[Tensor], LatentDistribution]
    prior: Callable[[Tensor], LatentDistribution]
    posterior_part: Posterior
    prior_part: Prior

    def encode_draw(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """One draw of each x's latents, of the shape that `encode` gives."""
        eps = rng.to(x.device).normal((self.latent_dim,))
        return self.posterior(x).sample(eps).unflatten(1, self.latent_spec.shape)

    def sample_latents(self, rng: RandomStreams) -> Tensor:
        """One draw of the prior per stream, of the shape that `encode` gives."""
        z = self.prior_part.sample(rng.to(self.device), self.posterior)
        return z.unflatten(1, self.latent_spec.shape)

    @property
    def normal_prior(self) -> bool:
        """Whether p(z) is N(0, I)."""
        return isinstance(self.prior_part, StandardPrior)

    @property
    def has_latent_kl(self) -> bool:
        """Whether KLs add up over dimensions: those of a diagonal posterior and the normal prior do."""
        return self.normal_prior and isinstance(self.posterior_part, DiagonalPosterior)

    def rate(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """KL(q(z | x) || p(z)) in nats, (B,): in closed form where that is known, else log q(z | x) / p(z) of a draw.

        Source: Alemi et al. 2018, "Fixing a broken ELBO", eq. 5.
        """
        posterior = self.posterior(x)
        prior = self.prior(posterior.mean)
        if (known := known_kl(posterior, prior)) is not None:
            return known
        z, log_q = posterior.draw(rng.to(x.device).normal((self.latent_dim,)))
        return log_q() - prior.log_prob(z)
