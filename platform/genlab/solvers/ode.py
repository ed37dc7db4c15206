"""Solvers of the probability-flow ODE dx/dt = alpha'(t) x_0(x, t) + sigma'(t) eps(x, t) (Song et al. 2021, eq. 13).

The last step, to t = 0, takes the estimate of the data: on the linear path that is Euler's step exactly, and
on others it leaves out the drift's singularity at 0 (Karras et al. 2022, algorithm 1, does the same).
"""

from abc import abstractmethod
from itertools import pairwise

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises, GaussianPath, at_time
from genlab.solvers.dormand_prince import Field
from genlab.solvers.heun_step import heun_of_estimates, trapezoid
from genlab.solvers.multistep import slopes_at
from genlab.solvers.solver import Solver


class FlowSolver(Solver):
    """A solver of ODEs: it samples, and integrates any field along the path either way (likelihoods, inversion)."""

    @abstractmethod
    def integrate(self, field: Field, y: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Solve dy/dt = field(y, t, rows) along `times`, of either direction.

        Args:
            field: (y (n, ...), t (n,), rows (n,)) -> dy/dt (n, ...), where rows are the samples' numbers.
            y: (B, ...) at times[0].
            times: (N + 1,) float64.

        Returns:
            y at times[-1], and evaluations of the field for each sample, (B,).
        """

    def check_flow(self, path: GaussianPath) -> None:
        """Refuse a path at whose ends the ODE's drift is infinite: `integrate` evaluates there.

        Raises:
            UserError: a derivative of alpha or sigma is not finite at t_min or t_max.
        """
        ends = torch.tensor([path.t_max, path.t_min], dtype=torch.float64)
        slopes = torch.stack([path.alpha_dot(ends), path.sigma_dot(ends)])
        got = f"{type(self).__name__} on {type(path).__name__}(t_min={path.t_min}, t_max={path.t_max})"
        remedy = "move path.init_args.t_min or t_max inwards, t_min to 1e-3 for example"
        require(
            bool(slopes.isfinite().all()), "solver", got, "a path with finite derivatives at both", remedy
        )

    def flow_times(self, path: GaussianPath) -> Tensor:
        """The grid from noise to t_min, without the last step's jump to 0: float64, falling."""
        times = self.grid.from_noise(path, self.num_steps)
        inner = times[:-1][times[:-1] > path.t_min]
        return torch.cat([inner, times.new_tensor([path.t_min])])


class SteppedFlow(FlowSolver):
    """A flow solver of fixed steps; a subclass says how one goes, by the slopes of the field."""

    evaluations_per_step: int

    @abstractmethod
    def advance(self, field: Field, y: Tensor, t: float, s: float, rows: Tensor) -> Tensor:
        """y at s from y at t, which may be before s or after it."""

    def integrate(self, field: Field, y: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(y), device=y.device)
        for t, s in pairwise(times.tolist()):
            y = self.advance(field, y, t, s, rows)
        return y, torch.full_like(rows, self.evaluations_per_step * (len(times) - 1))


class Euler(SteppedFlow):
    """x_s = x_t + (s - t) dx/dt(x_t, t): order 1, one evaluation per step."""

    evaluations_per_step = 1

    def advance(self, field: Field, y: Tensor, t: float, s: float, rows: Tensor) -> Tensor:
        return y + (s - t) * field(y, y.new_full((len(y),), t), rows)

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
        alpha_dot, sigma_dot = slopes_at(denoiser.path, t)
        return estimate.step(x_t, 1.0, (s - t) * alpha_dot, (s - t) * sigma_dot)


class Heun(SteppedFlow):
    """Euler's step, then the mean of the drifts at both its ends: order 2, two evaluations, one in the last step.

    Source: Karras et al. 2022, algorithm 1 with s(t) = 1 replaced by this path's drift.
    """

    evaluations_per_step = 2

    @property
    def nfe(self) -> int:
        return 2 * self.num_steps - 1

    def advance(self, field: Field, y: Tensor, t: float, s: float, rows: Tensor) -> Tensor:
        slope = field(y, y.new_full((len(y),), t), rows)
        return trapezoid(y, s - t, slope, lambda end: field(end, y.new_full((len(y),), s), rows))

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
        half, (a_t, b_t), (a_s, b_s) = (s - t) / 2, slopes_at(denoiser.path, t), slopes_at(denoiser.path, s)
        now, then = (half * a_t, half * b_t), (half * a_s, half * b_s)
        return heun_of_estimates(denoiser, estimate, x_t, s, 1.0, now, then, condition)


def flow_field(denoiser: Denoises, condition: Condition | None = None) -> Field:
    """The probability-flow ODE's drift as a field of a batch whose samples leave it when they are done."""

    def field(x: Tensor, t: Tensor, rows: Tensor) -> Tensor:
        estimate = denoiser(x, t, None if condition is None else condition[rows])
        return denoiser.path.velocity(estimate.x_0, estimate.eps, t)

    return field
