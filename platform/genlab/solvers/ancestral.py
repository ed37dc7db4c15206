"""Solvers by the posterior of the forward process: DDPM's ancestral sampling, DDIM."""

import math
from typing import Literal

from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises, at_time, interpolated_variance
from genlab.solvers.grids import TimeGrid
from genlab.solvers.multistep import Node, node_at
from genlab.solvers.solver import Solver


class Ancestral(Solver):
    """DDPM's sampler: x_s ~ N(mu(x_t, x_0), variance), with the estimate of x_0 in the posterior's mean.

    mu = (alpha_t / alpha_s) (sigma_s / sigma_t)^2 x_t + alpha_s (sigma_{t|s} / sigma_t)^2 x_0

    Args:
        num_steps: steps from t_max to 0; the paper's is 1,000.
        grid: where they end; None is equal steps in t.
        variance: "posterior" is that of q(x_s | x_t, x_0), (sigma_s / sigma_t)^2 sigma_{t|s}^2; "forward" is
            sigma_{t|s}^2, larger; "learned" is the network's, between these. The last step has none.

    Raises:
        UserError: in sampling, the learned variance of a model that learned none.

    Source: Ho et al. 2020, eq. 6-7 and algorithm 2, for any Gaussian path by Kingma et al. 2021, eq. 25.
    """

    needs_score = True

    def __init__(
        self,
        num_steps: int = 1000,
        grid: TimeGrid | None = None,
        variance: Literal["posterior", "forward", "learned"] = "posterior",
    ):
        super().__init__(num_steps, grid)
        self.variance = variance

    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        estimate = at_time(denoiser, x_t, t, condition)
        if s == 0:
            return estimate.x_0
        now, then = node_at(denoiser.path, t), node_at(denoiser.path, s)
        factor, variance = transition(now, then)
        ratio = (then.sigma / now.sigma) ** 2
        mean = estimate.step(x_t, factor * ratio, then.alpha * variance / now.sigma**2, 0.0)
        if self.variance == "learned":
            expected = "posterior or forward for a model that learned no variance"
            require(estimate.v is not None, "variance", "learned", expected, "choose one of these")
            bounds = (x_t.new_tensor(v) for v in (ratio * variance, variance))
            std = interpolated_variance(estimate.v, *bounds).exp().sqrt()
            return mean.addcmul_(std, rng.normal(x_t.shape[1:]).to(x_t))
        variance = ratio * variance if self.variance == "posterior" else variance
        return mean.add_(rng.normal(x_t.shape[1:]).to(x_t), alpha=math.sqrt(variance))

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "variance": self.variance}


class DDIM(Solver):
    """x_s = alpha_s x_0 + sqrt(sigma_s^2 - v) eps + sqrt(v) z, v = eta^2 (sigma_s / sigma_t)^2 sigma_{t|s}^2.

    Args:
        num_steps: steps from t_max to 0.
        grid: where they end; None is equal steps in t.
        eta: 0 is deterministic, 1 has the variance of DDPM's posterior.

    Raises:
        UserError: eta outside [0, 1].

    Source: Song et al. 2021 (DDIM), eq. 12 and 16.
    """

    def __init__(self, num_steps: int = 50, grid: TimeGrid | None = None, eta: float = 0.0):
        super().__init__(num_steps, grid)
        require(0 <= eta <= 1, "eta", eta, "a number in [0, 1]", "0 is deterministic, 1 is DDPM's noise")
        self.eta = eta

    @property
    def needs_score(self) -> bool:
        return self.eta > 0

    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        estimate = at_time(denoiser, x_t, t, condition)
        if s == 0:
            return estimate.x_0
        then = node_at(denoiser.path, s)
        if not self.eta:
            return estimate.step(x_t, 0.0, then.alpha, then.sigma)
        now = node_at(denoiser.path, t)
        v = (self.eta * then.sigma / now.sigma) ** 2 * transition(now, then)[1]
        x = estimate.step(x_t, 0.0, then.alpha, math.sqrt(max(0.0, then.sigma**2 - v)))
        return x.add_(rng.normal(x_t.shape[1:]).to(x_t), alpha=math.sqrt(v))

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "eta": self.eta}


def transition(now: Node, then: Node) -> tuple[float, float]:
    """`probability.transition` of two nodes, in numbers."""
    factor = now.alpha / then.alpha
    return factor, max(0.0, now.sigma**2 - (factor * then.sigma) ** 2)
