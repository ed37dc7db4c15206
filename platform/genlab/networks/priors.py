"""Priors p(z): standard normal, a mixture of posteriors, a flow."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from genlab.core import DataSpec, RandomStreams, full_precision, require
from genlab.networks.blocks import zero_init
from genlab.networks.perceptron import perceptron
from genlab.probability import (
    AffineCoupling,
    Chain,
    DiagonalGaussian,
    LatentDistribution,
    Mixture,
    PushForward,
)

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


PriorFactory = Callable[[DataSpec, int], Prior]


class StandardPrior(Prior):
    """N(0, I)."""

    def forward(self, like: Tensor, posterior: PosteriorOf) -> DiagonalGaussian:
        return DiagonalGaussian.standard(like)


class VampPrior(Prior):
    """The mean of the posteriors of K learned pseudo-inputs u_k: p(z) = (1/K) sum_k q(z | u_k).

    Pseudo-inputs are kept in the data's range [-1, 1].

    Args:
        spec: of the data.
        latent_dim: D.
        num_components: K.
        spread: standard deviation of the pseudo-inputs' values at the start, about 0.

    Raises:
        UserError: a number is not positive.

    Source: Tomczak and Welling 2018, "VAE with a VampPrior", section 2.
    """

    def __init__(self, spec: DataSpec, latent_dim: int, num_components: int = 100, spread: float = 0.5):
        super().__init__(spec, latent_dim)
        require(num_components >= 1, "num_components", num_components, "a positive integer", "use 100")
        require(spread > 0, "spread", spread, "a positive number", "components that start alike stay alike")
        self.pseudo_inputs = nn.Parameter(spread * torch.randn(num_components, *spec.shape))

    def forward(self, like: Tensor, posterior: PosteriorOf) -> Mixture:
        return Mixture(posterior(self.pseudo_inputs.clamp(-1, 1)))

    def sample(self, rng: RandomStreams, posterior: PosteriorOf) -> Tensor:
        component = rng.integers(len(self.pseudo_inputs))
        eps = rng.normal((self.latent_dim,))
        return self(eps, posterior).sample(eps, component)


class FlowPrior(Prior):
    """z = f(eps), eps ~ N(0, I), with f a stack of affine couplings: a small RealNVP, which starts as the identity.

    Args:
        spec: of the data.
        latent_dim: D, at least 2.
        num_couplings: couplings; even ones move the odd dimensions, odd ones the even.
        width: of the two hidden layers of each coupling's network.

    Raises:
        UserError: a number is too small.

    Source: Dinh et al. 2017, "Density estimation using Real NVP", section 3; as a prior, Chen et al. 2017,
    "Variational lossy autoencoder", section 3.2.
    """

    def __init__(self, spec: DataSpec, latent_dim: int, num_couplings: int = 6, width: int = 64):
        super().__init__(spec, latent_dim)
        require(latent_dim >= 2, "latent_dim", latent_dim, "2 or more for couplings", "raise it")
        for name, value in {"num_couplings": num_couplings, "width": width}.items():
            require(value >= 1, name, value, "a positive integer", "raise it")
        self.networks = nn.ModuleList(
            perceptron([latent_dim, width, width, 2 * latent_dim]) for _ in range(num_couplings)
        )
        for network in self.networks:
            zero_init(network[-1])

    def forward(self, like: Tensor, posterior: PosteriorOf) -> PushForward:
        even = torch.arange(self.latent_dim, device=like.device) % 2 == 0
        masks = [even if i % 2 == 0 else ~even for i in range(len(self.networks))]
        couplings = [
            AffineCoupling(partial(bounded, network), mask.to(like.dtype))
            for network, mask in zip(self.networks, masks, strict=True)
        ]
        return PushForward(DiagonalGaussian.standard(like), Chain(couplings))


def bounded(network: nn.Module, z: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and log scale of a coupling; the scale stays within [1/e^2, e^2], so that inverses stay finite."""
    shift, log_scale = full_precision(network(z.to(network[0].bias.dtype))).chunk(2, -1)
    return shift, 2 * torch.tanh(log_scale / 2)
