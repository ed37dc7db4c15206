"""Priors p(z): standard normal, a mixture of posteriors, a flow."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from genlab.core import DataSpec, RandomStreams, full_precision, require
from genlab.networks.blocks import zero_init
from genlab.networks.perceptron import perceptron
from genlab.networks.prior import PosteriorOf, Prior
from genlab.probability import (
    AffineCoupling,
    Chain,
    DiagonalGaussian,
    Mixture,
    PushForward,
)


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
        start: "noise", or "data": the first K training images take its place when training begins, unless weights
            were loaded. In few steps noise does not come to look like data.

    Raises:
        UserError: a number is not positive, there is no such start, or fewer data than components.

    Source: Tomczak and Welling 2018, "VAE with a VampPrior", section 2.
    """

    def __init__(
        self,
        spec: DataSpec,
        latent_dim: int,
        num_components: int = 100,
        spread: float = 0.5,
        start: Literal["noise", "data"] = "noise",
    ):
        super().__init__(spec, latent_dim)
        require(num_components >= 1, "num_components", num_components, "a positive integer", "use 100")
        require(spread > 0, "spread", spread, "a positive number", "components that start alike stay alike")
        require(start in ("noise", "data"), "start", start, "'noise' or 'data'", "choose one of them")
        self.pseudo_inputs = nn.Parameter(spread * torch.randn(num_components, *spec.shape))
        self.waits_for_data = start == "data"
        self.register_load_state_dict_post_hook(VampPrior._loaded)

    def begin(self, data: Callable[[int], Tensor]) -> None:
        if not self.waits_for_data:
            return
        num = len(self.pseudo_inputs)
        x = data(num)
        expected = f"at most the {len(x)} training images, from which they start"
        require(len(x) == num, "num_components", num, expected, "lower it, or pass start='noise'")
        with torch.no_grad():
            self.pseudo_inputs.copy_(x)
        self.waits_for_data = False

    def _loaded(self, keys: NamedTuple) -> None:
        self.waits_for_data &= any(key.endswith("pseudo_inputs") for key in keys.missing_keys)

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
