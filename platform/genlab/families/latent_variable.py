"""What models with latents share: an encoder, a decoder, a prior, and what can be asked of these."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, ModalitySpec, RandomStreams, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.latent_code import LatentCode
from genlab.families.schedules import Schedule
from genlab.networks import PosteriorFactory, PriorFactory
from genlab.probability import DiagonalGaussian, LatentDistribution, gaussian_kl

EncoderFactory = Callable[[DataSpec, int], nn.Module]
DecoderFactory = Callable[[DataSpec, int, int], nn.Module]


class LatentVariableModel(LatentCode, GenerativeModel):
    """Base of families with z ~ p(z) and data from a decoder of z, and with q(z | x) from an encoder.

    A subclass calls `make_parts`, and gives `to_data`; and `emit`, where data are drawn given z.

    Args:
        spec: of the data.
        latent_dim: dimension D of z.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: the dimension is not positive.
    """

    conditions = ()

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        latent_dim: int = 16,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        require(latent_dim >= 1, "latent_dim", latent_dim, "a positive integer", "raise it")
        self.latent_dim = latent_dim

    def make_parts(
        self,
        encoder: EncoderFactory,
        decoder: DecoderFactory,
        num_channels: int,
        posterior: PosteriorFactory,
        prior: PriorFactory,
    ) -> None:
        """Make the networks and the distributions.

        Args:
            encoder: makes, from the spec and a number of features, the network from x to q(z | x)'s parameters.
            decoder: makes, from the spec, the latents' dimension and `num_channels`, the network from z to what
                `to_data` takes.
            num_channels: of the decoder's output.
            posterior: makes, from the latents' dimension, what turns the encoder's features into q(z | x).
            prior: makes p(z) from the spec and the latents' dimension.
        """
        self.posterior_part = posterior(self.latent_dim)
        self.encoder = encoder(self.spec, self.posterior_part.num_features)
        self.decoder = decoder(self.spec, self.latent_dim, num_channels)
        self.prior_part = prior(self.spec, self.latent_dim)

    def to_data(self, params: Tensor) -> Tensor:
        """The data, in [-1, 1], that the decoder's output stands for: without noise."""
        raise NotImplementedError

    def emit(self, params: Tensor, rng: RandomStreams) -> Tensor:
        """Data of the decoder's output as `sample` gives them, with noise of the streams where there is any."""
        return self.to_data(params)

    def posterior(self, x: Tensor) -> LatentDistribution:
        """q(z | x), over (B, D)."""
        return self.posterior_part(self.encoder(x))

    def prior(self, like: Tensor) -> LatentDistribution:
        """p(z), on the device and in the type of latents `like`, (..., D)."""
        return self.prior_part(like, self.posterior)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.reconstruct(self.data_of(batch))

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Data from the prior, (num_samples, *spec.shape) in [-1, 1].

        Raises:
            UserError: there is a condition, or not one random stream per sample.
        """
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        with self.evaluating():
            return self.emit(self.decoder(self.prior_part.sample(rng, self.posterior)), rng)

    def sampling_protocol(self) -> dict[str, object]:
        return {"solver": "ancestral", "nfe": 1}

    @property
    def latent_spec(self) -> DataSpec:
        """(D,), or (D / (h w), h, w) where the encoder makes a map of that height and width."""
        grid = getattr(self.encoder, "grid", ())
        shape = (self.latent_dim // math.prod(grid), *grid)
        return DataSpec(self.spec.name, {"latent": ModalitySpec(shape)})

    def encode(self, x: Tensor) -> Tensor:
        """The posterior's mean (of a flow, its middle), (B, D) or (B, D / (h w), h, w) as `latent_spec` says."""
        return self.posterior(x).mean.unflatten(1, self.latent_spec.shape)

    def kl_per_dimension(self, x: Tensor) -> Tensor:
        """KL(q(z_d | x) || p(z_d)) of each latent dimension in nats, (B, D): near 0 where it carries nothing.

        Raises:
            UserError: the posterior or the prior is no diagonal Gaussian, so that dimensions have no KL of their own.
        """
        posterior = self.posterior(x)
        prior = self.prior(posterior.mean)
        for name, law in {"posterior": posterior, "prior": prior}.items():
            factorises, remedy = isinstance(law, DiagonalGaussian), f"leave out `{name}`"
            require(factorises, name, type(law).__name__, "a diagonal Gaussian for KLs per dimension", remedy)
        return gaussian_kl(posterior, prior)

    def decode(self, z: Tensor) -> Tensor:
        """The data without noise, (B, C, ...) in [-1, 1], of latents as `encode` gives them."""
        return self.to_data(self.decoder(z.flatten(1)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoding of the posterior's mean."""
        return self.decode(self.encode(x))
