"""What families with a likelihood p(x | z) and a bound on log p(x) share."""

import lightning.pytorch as pl
from torch import Tensor

from genlab.core import DataSpec, RandomStreams, require
from genlab.probability import Likelihood, bits_per_dimension


class WithLikelihood:
    """Data by the likelihood's mean, or drawn from it, and the terms of a bound.

    Attributes:
        spec: of the data.
        likelihood: p(x | params).
    """

    spec: DataSpec
    likelihood: Likelihood
    trainer: pl.Trainer

    def set_output(self, output: str) -> None:
        """Whether `emit` gives the likelihood's "mean", or a "draw" of it.

        Raises:
            UserError: it is neither.
        """
        require(output in ("mean", "draw"), "output", output, "'mean' or 'draw'", "choose one of them")
        self.output = output

    def emit(self, params: Tensor, rng: RandomStreams) -> Tensor:
        """Data (B, *spec.shape) in [-1, 1] of the likelihood's parameters."""
        mean = self.output == "mean"
        return self.likelihood.mean(params) if mean else self.likelihood.sample(params, rng)

    def step_of(self, phase: str) -> int | None:
        """Steps of a warm-up: held-out losses are those of its end, so that they can be compared over training."""
        return self.trainer.global_step if phase == "train" else None

    def bound_terms(self, losses: Tensor, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, the mean of losses (B,), `bpd` of the bound, the term `elbo` in nats, and all terms."""
        bits = bits_per_dimension(terms["elbo"], self.spec[self.spec.data])
        return {"loss": losses.mean(), "bpd": bits, **terms}
