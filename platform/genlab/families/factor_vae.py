"""FactorVAE (Kim and Mnih 2018): a VAE whose total correlation is told by a critic."""

from collections.abc import Callable
from copy import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, ModalitySpec, require
from genlab.families.alternating import Alternating, Loss
from genlab.families.base import OptimizerFactory
from genlab.families.latent_variable import DecoderFactory, EncoderFactory
from genlab.families.schedules import Schedule
from genlab.families.variational import VariationalModel
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    DiagonalPosterior,
    LatentCritic,
    PosteriorFactory,
    PriorFactory,
    StandardPrior,
)
from genlab.objectives import ELBO, DensityRatio
from genlab.probability import Categorical, LikelihoodFactory

CriticFactory = Callable[[DataSpec], nn.Module]


class FactorVAE(Alternating, VariationalModel):
    """A VAE and a critic of its latents, in turn: ELBO - gamma KL(q(z) || prod_d q(z_d)), told by the critic.

    The critic's shuffled latents are of the batch's own data, by other draws than those that it compares them to
    (in the paper, of another batch).

    Args:
        spec: of the data.
        encoder, decoder, likelihood, latent_dim, posterior, prior, output, num_importance_samples, chunk_size: as
            the `VAE`'s.
        critic: makes the critic from the latents' spec: (B, D) -> (B,).
        gamma: weight of the total correlation.
        objective: the bound to train on, with penalties of its own or without.
        optimizer: factory of the VAE's optimiser.
        critic_optimizer: factory of the critic's; None for the same.
        schedule: of both learning rates.
        clip: largest norm of the VAE's gradient; None for any.

    Raises:
        UserError: a number is out of its range, or a penalty is not for this posterior.

    Source: Kim and Mnih 2018, "Disentangling by factorising", algorithm 2.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = ConvEncoder,
        decoder: DecoderFactory = ConvDecoder,
        likelihood: LikelihoodFactory = Categorical,
        latent_dim: int = 16,
        critic: CriticFactory = LatentCritic,
        gamma: float = 10.0,
        objective: ELBO | None = None,
        output: Literal["mean", "draw"] = "draw",
        num_importance_samples: int = 500,
        chunk_size: int = 4096,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        critic_optimizer: OptimizerFactory | None = None,
        schedule: Schedule | None = None,
        clip: float | None = None,
        posterior: PosteriorFactory = DiagonalPosterior,
        prior: PriorFactory = StandardPrior,
    ):
        super().__init__(
            spec,
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            latent_dim=latent_dim,
            objective=objective,
            output=output,
            num_importance_samples=num_importance_samples,
            chunk_size=chunk_size,
            optimizer=optimizer,
            schedule=schedule,
            posterior=posterior,
            prior=prior,
        )
        require(gamma >= 0, "gamma", gamma, "a non-negative number", "use 0 for the VAE itself")
        self.take_turns(critic_optimizer, clips=(clip, None))
        self.critic = critic(DataSpec(self.spec.name, {"latent": ModalitySpec((latent_dim,))}))
        self.ratio = DensityRatio(self.critic, gamma)
        self.objective = copy(self.objective)
        self.objective.penalties = [*self.objective.penalties, self.ratio]
        self.check_objective()

    def critic_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        with torch.no_grad():
            q = self.posterior(x)
            z, others = (q.sample(torch.randn_like(q.mean)) for _ in range(2))
        return self.ratio.critic_loss(z, others)

    def model_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        return self.bound(x, "train")
