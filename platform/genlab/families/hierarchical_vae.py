"""The hierarchical VAE: a ladder of stochastic levels (Sonderby et al. 2016; Vahdat and Kautz 2020; Child 2021)."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, RandomStreams, require
from genlab.families.base import GenerativeModel, NetworkFactory, OptimizerFactory
from genlab.families.importance_sampling import ImportanceSampled
from genlab.families.ladder_code import LadderCode
from genlab.families.ladder_descent import LadderDescent
from genlab.families.requests import Dropout, check_dropout, dropout_of
from genlab.families.schedules import Schedule
from genlab.networks import LadderDecoder, LadderEncoder
from genlab.objectives import LadderELBO, ladder_log_weight
from genlab.probability import (
    Categorical,
    DiagonalGaussian,
    LevelPosterior,
    LikelihoodFactory,
    ResidualPosterior,
)

LadderDecoderFactory = Callable[[DataSpec, int], nn.Module]


class HierarchicalVAE(LadderCode, ImportanceSampled, GenerativeModel):
    """Hierarchical VAE: p(z) = prod_l p(z_l | z_<l), q(z | x) = prod_l q(z_l | z_<l, x), both from the top down.

    What it tells of its latents, `LadderCode` says: with a decoder that takes conditions, they are those of the model
    without any, so that training has to lose each kind at times.

    Args:
        spec: of the data.
        encoder: makes the network from x to features at each resolution.
        decoder: makes, from the spec and a number of channels, the network down the levels to the likelihood's
            parameters.
        likelihood: makes p(x | params) from the spec.
        posterior: how q(z_l | z_<l, x) is made from p(z_l | z_<l); None is residual.
        objective: the bound to train on; None is the ELBO.
        output: whether `sample` gives the likelihood's "mean" or a "draw" of it.
        temperature: factor of the priors' standard deviations in `sample`; 0 takes their means.
        num_importance_samples, chunk_size: see `ImportanceSampled.set_draws`.
        label_dropout: share of training samples that lose their condition; or the share that loses each kind.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: a number is out of its range, `output` is neither, the networks' features differ, or a kind of
            condition is never lost.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: NetworkFactory = LadderEncoder,
        decoder: LadderDecoderFactory = LadderDecoder,
        likelihood: LikelihoodFactory = Categorical,
        posterior: LevelPosterior | None = None,
        objective: LadderELBO | None = None,
        output: Literal["mean", "draw"] = "draw",
        temperature: float = 1.0,
        num_importance_samples: int = 500,
        chunk_size: int = 4096,
        label_dropout: Dropout = 0.1,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        self.set_draws(num_importance_samples, chunk_size)
        self.set_output(output)
        require(temperature >= 0, "temperature", temperature, "a non-negative number", "use 1 for the model")
        self.level_posterior = posterior or ResidualPosterior()
        self.objective = objective or LadderELBO()
        self.temperature = temperature
        self.label_dropout = label_dropout
        self.likelihood = likelihood(self.spec)
        self.encoder = encoder(self.spec)
        self.decoder = decoder(self.spec, self.likelihood.num_channels)
        check_dropout(label_dropout, self.conditions)
        kept = [kind for kind in self.conditions if dropout_of(kind, label_dropout) == 0]
        expected = f"a positive share of {', '.join(kept)}: latents and reconstructions are those without a condition"
        require(not kept, "label_dropout", label_dropout, expected, "use 0.1")
        given, taken = self.encoder.feature_shapes, self.decoder.feature_shapes
        remedy = "give encoder and decoder the same channels"
        require(given == taken, "encoder", given, f"the decoder's features {taken}", remedy)
        self.latent_dim = self.descent.dim

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those of the decoder."""
        return self.decoder.conditions

    @property
    def descent(self) -> LadderDescent:
        """The way down the levels."""
        return LadderDescent(self.decoder, self.level_posterior)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.reconstruct(self.data_of(batch))

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` of a batch in nats and the objective's terms; only in the phase "train" are conditions dropped."""
        x, condition = self.data_of(batch), self.condition_of(batch) if self.conditions else None
        if condition is not None and phase == "train":
            condition = condition.drop(self.label_dropout)

        def choose(_: int, prior: DiagonalGaussian, posterior: DiagonalGaussian) -> Tensor:
            return posterior.sample(torch.randn_like(posterior.mean))

        params, levels = self.descent(choose, len(x), self.encoder(x), condition)
        reconstruction = -self.likelihood.log_prob(x, params)
        kls = torch.stack([level.kl() for level in levels])
        return self.bound_terms(*self.objective(reconstruction, kls, self.step_of(phase)))

    def weigher(self, x: Tensor, condition: Condition | None) -> Callable[[Tensor], Tensor]:
        features = self.encoder(x)

        def weigh(eps: Tensor) -> Tensor:
            k = len(eps)
            rows = [f.repeat(k, *[1] * (f.ndim - 1)) for f in features]
            given = None if condition is None else condition.repeat(k)
            params, levels = self.descent.from_posterior_noise(eps.flatten(0, 1), rows, given)
            log_p = self.likelihood.log_prob(x.repeat(k, *[1] * (x.ndim - 1)), params)
            return ladder_log_weight(log_p, levels).view(k, len(x))

        return weigh

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Data from the prior at the model's temperature, (num_samples, *spec.shape) in [-1, 1].

        Args:
            num_samples: how many, as many as rng has streams.
            condition: theirs, or None for the unconditional model.
            rng: where the noise comes from.

        Raises:
            UserError: rng or the condition are for another number of samples, or the model is unconditional.
        """
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        condition = self.condition_or_drawn(condition, rng, self.label_dropout)
        with self.evaluating():
            params = self.descent.from_noise(self.temperature * rng.normal((self.latent_dim,)), condition)
            return self.emit(params, rng)

    def sampling_protocol(self) -> dict[str, object]:
        return {"solver": "ancestral", "nfe": 1, "output": self.output, "temperature": self.temperature}
