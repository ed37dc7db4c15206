"""What a model with a ladder of latents tells of its code: the priors' noise, of all levels one after another."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genlab.core import DataSpec, ModalitySpec, RandomStreams
from genlab.families.ladder_descent import LadderDescent
from genlab.probability import Level, Likelihood, gaussian_kl


class LadderCode:
    """Encodings, draws of q(z | x) and of p(z), and the rate KL(q(z | x) || p(z)), for a family that has a ladder.

    Latents are the noise eps in z_l = mu_l + sigma_l eps_l of the priors: standard normal under the model, whatever its
    levels are. Those of a model that takes conditions are of the model without any.

    Attributes:
        spec: of the data.
        latent_dim: D, of all levels together.
        encoder: x to features.
        descent: the way down the levels.
        likelihood: p(x | params).
    """

    spec: DataSpec
    latent_dim: int
    device: torch.device
    encoder: nn.Module
    descent: LadderDescent
    likelihood: Likelihood

    normal_prior = True
    has_latent_kl = True

    @property
    def latent_spec(self) -> DataSpec:
        """(D,), of all levels together."""
        return DataSpec(self.spec.name, {"latent": ModalitySpec((self.latent_dim,))})

    def encode(self, x: Tensor) -> Tensor:
        """The priors' noise that gives the posteriors' means, (B, D), each level given the means above it."""
        return torch.cat([level.noise() for level in self._at_means(x)], 1)

    def encode_draw(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """The priors' noise that gives one draw of q(z | x), (B, D)."""
        return torch.cat([level.noise() for level in self._at_draws(x, rng)], 1)

    def sample_latents(self, rng: RandomStreams) -> Tensor:
        """One draw of N(0, I) per stream, (B, D)."""
        return rng.to(self.device).normal((self.latent_dim,))

    def decode(self, z: Tensor) -> Tensor:
        """The likelihood's mean, (B, C, ...) in [-1, 1], of latents as `encode` gives them."""
        return self.likelihood.mean(self.descent.from_noise(z))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoding of the posteriors' means."""
        return self.decode(self.encode(x))

    def rate(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """KL(q(z | x) || p(z)) in nats, (B,): sum_l KL(q(z_l | z_<l, x) || p(z_l | z_<l)) at one draw of z_<l.

        Source: Alemi et al. 2018, "Fixing a broken ELBO", eq. 5.
        """
        return sum(level.kl() for level in self._at_draws(x, rng))

    def kl_per_dimension(self, x: Tensor) -> Tensor:
        """KL(q(z_d | z_<l, x) || p(z_d | z_<l)) in nats, (B, D), each level given the posteriors' means above it."""
        levels = self._at_means(x)
        return torch.cat([gaussian_kl(level.posterior, level.prior).flatten(1) for level in levels], 1)

    def _at_means(self, x: Tensor) -> Sequence[Level]:
        return self.descent(lambda _, prior, posterior: posterior.mean, len(x), self.encoder(x))[1]

    def _at_draws(self, x: Tensor, rng: RandomStreams) -> Sequence[Level]:
        eps = rng.to(x.device).normal((self.latent_dim,))
        return self.descent.from_posterior_noise(eps, self.encoder(x))[1]
