"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014)."""

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, LogProb, ModalitySpec, RandomStreams, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.latent_code import LatentCode
from genlab.families.schedules import Schedule
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    DiagonalPosterior,
    PosteriorFactory,
    PriorFactory,
    StandardPrior,
)
from genlab.objectives import ELBO, LatentObjective, log_mean_exp
from genlab.probability import (
    Categorical,
    DiagonalGaussian,
    LatentDistribution,
    LikelihoodFactory,
    bits_per_dimension,
    gaussian_kl,
)

EncoderFactory = Callable[[DataSpec, int], nn.Module]
DecoderFactory = Callable[[DataSpec, int, int], nn.Module]


class VAE(LatentCode, GenerativeModel):
    """Variational autoencoder: z ~ p(z), x ~ p(x | decoder(z)), with q(z | x) from an encoder.

    Args:
        spec: of the data.
        encoder: makes, from the spec and a number of features, the network from x to q(z | x)'s parameters.
        decoder: makes, from the spec, the latents' dimension and a number of channels, the network from z to
            the likelihood's parameters.
        likelihood: makes p(x | params) from the spec.
        latent_dim: dimension D of z.
        objective: the bound to train on.
        output: whether `sample` gives the likelihood's "mean" or a "draw" of it.
        num_importance_samples: K of `log_prob`; 1 is the ELBO.
        chunk_size: most rows (x, z) in the decoder at once in `log_prob`, though never less than its batch.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.
        posterior: makes, from the latents' dimension, what turns the encoder's features into q(z | x).
        prior: makes p(z) from the spec and the latents' dimension.

    Raises:
        UserError: a number is not positive, or `output` is neither.
    """

    conditions = ()

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = ConvEncoder,
        decoder: DecoderFactory = ConvDecoder,
        likelihood: LikelihoodFactory = Categorical,
        latent_dim: int = 16,
        objective: LatentObjective | None = None,
        output: Literal["mean", "draw"] = "draw",
        num_importance_samples: int = 500,
        chunk_size: int = 4096,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
        posterior: PosteriorFactory = DiagonalPosterior,
        prior: PriorFactory = StandardPrior,
    ):
        super().__init__(spec, optimizer, schedule)
        numbers = {"latent_dim": latent_dim, "num_importance_samples": num_importance_samples}
        for name, number in {**numbers, "chunk_size": chunk_size}.items():
            require(number >= 1, name, number, "a positive integer", "raise it")
        require(output in ("mean", "draw"), "output", output, "'mean' or 'draw'", "choose one of them")
        self.latent_dim = latent_dim
        self.objective = objective or ELBO()
        self.output = output
        self.num_importance_samples = num_importance_samples
        self.chunk_size = chunk_size
        self.likelihood = likelihood(self.spec)
        self.posterior_part = posterior(latent_dim)
        self.encoder = encoder(self.spec, self.posterior_part.num_features)
        self.decoder = decoder(self.spec, latent_dim, self.likelihood.num_channels)
        self.prior_part = prior(self.spec, latent_dim)

    def posterior(self, x: Tensor) -> LatentDistribution:
        """q(z | x), over (B, D)."""
        return self.posterior_part(self.encoder(x))

    def prior(self, like: Tensor) -> LatentDistribution:
        """p(z), on the device and in the type of latents `like`, (..., D)."""
        return self.prior_part(like, self.posterior)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in nats, (K, B), of x (B, ...) under latents z (K, B, D)."""
        rows = x.expand(len(z), *x.shape).flatten(0, 1)
        return self.likelihood.log_prob(rows, self.decoder(z.flatten(0, 1))).view(z.shape[:-1])

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.reconstruct(self.data_of(batch))

    def _step(self, phase: str, batch: dict[str, Tensor]) -> Tensor:
        loss, terms = self.bound(self.data_of(batch), phase)
        self.log_terms(phase, terms, batch)
        return loss

    def bound(self, x: Tensor, phase: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on data of a phase, "train", "val" or "test", and all of its terms."""
        posterior = self.posterior(x)
        # Held-out losses are those of the end of a warm-up, so that they can be compared over training.
        step = self.trainer.global_step if phase == "train" else None
        data = getattr(
            self._trainer, "datamodule", None
        )  # which may be none: a sweep's check asks for terms alone
        num_data = data.num_samples(phase) if hasattr(data, "num_samples") else None
        prior = self.prior(posterior.mean)
        losses, terms = self.objective(x, posterior, prior, self.log_likelihood, step, num_data)
        loss = losses.mean()
        bits = bits_per_dimension(terms["elbo"], self.spec[self.spec.data])
        return loss, {"loss": loss, "bpd": bits, **terms}

    def log_prob(
        self,
        x: Tensor,
        *,
        condition: Condition | None = None,
        rng: RandomStreams | None = None,
        num_samples: int | None = None,
    ) -> LogProb:
        """log p(x) in nats from below, (B,): log (1/K) sum_k p(x, z_k) / q(z_k | x) (Burda et al. 2016).

        Args:
            x: data, (B, ...) in [-1, 1].
            condition: None; the model is unconditional.
            rng: the noise of z_k, a stream per x; without it, that of seed 0.
            num_samples: K; without it, the model's `num_importance_samples`.

        Raises:
            UserError: there is a condition, K is not positive, or not one random stream per x.
        """
        rng = rng or RandomStreams(0, len(x))
        self.check_request(len(x), condition, rng)
        count = self.num_importance_samples if num_samples is None else num_samples
        require(count >= 1, "num_samples", count, "a positive integer", "use 500")
        with self.evaluating():
            weights = self._log_weights(x, count, rng.to(x.device))
        method, kind = (f"IWAE, {count} samples", "estimate") if count > 1 else ("ELBO, 1 sample", "bound")
        return LogProb(log_mean_exp(weights), kind, self.likelihood.measure, method)

    def _log_weights(self, x: Tensor, count: int, rng: RandomStreams) -> Tensor:
        """log p(x, z_k) / q(z_k | x) of `count` draws z_k, (K, B), a few draws at a time."""
        posterior, weights = self.posterior(x), []
        prior = self.prior(posterior.mean)
        per_chunk = max(1, self.chunk_size // len(x))
        for start in range(0, count, per_chunk):
            eps = torch.stack([rng.normal((self.latent_dim,)) for _ in range(min(per_chunk, count - start))])
            z, log_q = posterior.draw(eps)
            weights.append(self.log_likelihood(x, z) - (log_q() - prior.log_prob(z)))
        return torch.cat(weights)

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Data from the prior, (num_samples, *spec.shape) in [-1, 1].

        Raises:
            UserError: there is a condition, or not one random stream per sample.
        """
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        with self.evaluating():
            params = self.decoder(self.prior_part.sample(rng, self.posterior))
            return (
                self.likelihood.mean(params) if self.output == "mean" else self.likelihood.sample(params, rng)
            )

    def sampling_protocol(self) -> dict[str, object]:
        return {"solver": "ancestral", "nfe": 1, "output": self.output}

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
        """The likelihood's mean, (B, C, ...) in [-1, 1], of latents as `encode` gives them."""
        return self.likelihood.mean(self.decoder(z.flatten(1)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoding of the posterior's mean."""
        return self.decode(self.encode(x))
