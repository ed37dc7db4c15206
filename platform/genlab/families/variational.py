"""Latent-variable models with a likelihood p(x | z): a bound to train on, and log p(x) from below."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec
from genlab.families.base import OptimizerFactory
from genlab.families.importance_sampling import ImportanceSampled
from genlab.families.latent_variable import DecoderFactory, EncoderFactory, LatentVariableModel
from genlab.families.schedules import Schedule
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    DiagonalPosterior,
    PosteriorFactory,
    PriorFactory,
    StandardPrior,
)
from genlab.objectives import ELBO, LatentObjective
from genlab.objectives.latent_penalties import ChecksPosterior
from genlab.probability import Categorical, LikelihoodFactory


class VariationalModel(ImportanceSampled, LatentVariableModel):
    """Base of VAEs: z ~ p(z), x ~ p(x | decoder(z)), with q(z | x) from an encoder.

    Args:
        spec: of the data.
        encoder: makes, from the spec and a number of features, the network from x to q(z | x)'s parameters.
        decoder: makes, from the spec, the latents' dimension and a number of channels, the network from z to
            the likelihood's parameters.
        likelihood: makes p(x | params) from the spec.
        latent_dim: dimension D of z.
        objective: the bound to train on.
        output: whether `sample` gives the likelihood's "mean" or a "draw" of it.
        num_importance_samples, chunk_size: see `ImportanceSampled.set_draws`.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.
        posterior: makes, from the latents' dimension, what turns the encoder's features into q(z | x).
        prior: makes p(z) from the spec and the latents' dimension.

    Raises:
        UserError: a number is not positive, `output` is neither, or a penalty is not for this posterior.
    """

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
        super().__init__(spec, latent_dim, optimizer, schedule)
        self.set_draws(num_importance_samples, chunk_size)
        self.set_output(output)
        self.objective = objective or ELBO()
        self.likelihood = likelihood(self.spec)
        self.make_parts(encoder, decoder, self.likelihood.num_channels, posterior, prior)
        self.check_objective()

    @torch.no_grad()
    def check_objective(self) -> None:
        """Refuse penalties that can't be computed of this posterior.

        Raises:
            UserError: naming `posterior`.
        """
        if isinstance(self.objective, ChecksPosterior):
            self.objective.check(self.posterior_part(torch.ones(1, self.posterior_part.num_features)))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) in nats, (K, B), of x (B, ...) under latents z (K, B, D)."""
        rows = x.expand(len(z), *x.shape).flatten(0, 1)
        return self.likelihood.log_prob(rows, self.decoder(z.flatten(0, 1))).view(z.shape[:-1])

    def _step(self, phase: str, batch: dict[str, Tensor]) -> Tensor:
        loss, terms = self.bound(self.data_of(batch), phase)
        self.log_terms(phase, terms, batch)
        return loss

    def bound(self, x: Tensor, phase: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on data of a phase, "train", "val" or "test", and all of its terms."""
        posterior = self.posterior(x)
        # There may be no data: a sweep's check asks for terms alone.
        data = getattr(self._trainer, "datamodule", None)
        num_data = data.num_samples(phase) if hasattr(data, "num_samples") else None
        prior = self.prior(posterior.mean)
        losses, terms = self.objective(
            x, posterior, prior, self.log_likelihood, self.step_of(phase), num_data
        )
        terms = self.bound_terms(losses, terms)
        return terms["loss"], terms

    def weigher(self, x: Tensor, condition: Condition | None) -> Callable[[Tensor], Tensor]:
        posterior = self.posterior(x)
        prior = self.prior(posterior.mean)

        def weigh(eps: Tensor) -> Tensor:
            z, log_q = posterior.draw(eps)
            return self.log_likelihood(x, z) - (log_q() - prior.log_prob(z))

        return weigh

    def to_data(self, params: Tensor) -> Tensor:
        """The likelihood's mean."""
        return self.likelihood.mean(params)

    def sampling_protocol(self) -> dict[str, object]:
        return {**super().sampling_protocol(), "output": self.output}
