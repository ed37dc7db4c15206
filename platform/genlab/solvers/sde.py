"""Solvers of the reverse SDE dx = (f x - g^2 score) dt + g dw, backwards in time (Song et al. 2021, eq. 6)."""

import math
from typing import Self

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises, GaussianPath, at_time
from genlab.solvers.grids import TimeGrid
from genlab.solvers.solver import Solver


class EulerMaruyama(Solver):
    """x_s = x_t + (s - t) (f x_t + g^2 eps / sigma) + g sqrt(t - s) z: weak order 1, one evaluation per step.

    Noise is added in all steps but the last, which takes the estimate of the data.

    Args:
        num_steps: steps from t_max to 0.
        grid: where they end; None is equal steps in t.

    Raises:
        UserError: from `check`, on a path with alpha(t_max) = 0, where f is infinite.

    Source: Song et al. 2021, section 4.1, with score = -eps / sigma.
    """

    needs_score = True

    def __init__(self, num_steps: int = 1000, grid: TimeGrid | None = None):
        super().__init__(num_steps, grid)

    def check(self, path: GaussianPath) -> None:
        super().check(path)
        first = self.grid.times(path, self.num_steps)[0]
        drift = float(path.drift(first))
        got = f"EulerMaruyama on {type(path).__name__}(t_max={path.t_max})"
        remedy = "lower path.init_args.t_max, to 0.999 for example, or choose Ancestral"
        require(math.isfinite(drift), "solver", got, "a path whose drift is finite at t_max", remedy)

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
        path, at = denoiser.path, torch.tensor(t, dtype=torch.float64)
        f, g, sigma = float(path.drift(at)), float(path.diffusion(at)), float(path.sigma(at))
        noise = rng.normal(x_t.shape[1:]).to(x_t)
        drift = (s - t) * g**2 / sigma * estimate.eps
        return (1 + (s - t) * f) * x_t + drift + g * math.sqrt(t - s) * noise


class PredictorCorrector(Solver):
    """After each step of a predictor, `num_corrections` steps of Langevin dynamics at the new noise level.

    x <- x + r score + sqrt(2 r) z,   r = 2 (snr sigma)^2

    The paper's r = 2 (snr |z| / |score|)^2 takes norms averaged over the batch, which would make a sample
    depend on its neighbours; here both have their expectations, sqrt(D) and about sqrt(D) / sigma.

    Args:
        predictor: a solver of single steps, whose grid is used; None is the reverse SDE by Euler-Maruyama.
        snr: signal-to-noise ratio of a correction; 0.16 is the paper's for VE. Many corrections of noise alone
            make its variance too large by a share snr^2 / (1 - snr^2).
        num_corrections: Langevin steps after each step but the last.

    Raises:
        UserError: snr is not between 0 and 1; num_corrections is not positive.

    Source: Song et al. 2021, algorithms 2-5.
    """

    needs_score = True

    def __init__(self, predictor: Solver | None = None, snr: float = 0.16, num_corrections: int = 1):
        self.predictor = predictor or EulerMaruyama()
        super().__init__(self.predictor.num_steps, self.predictor.grid)
        require(0 < snr < 1, "snr", snr, "a number in (0, 1)", "the paper's is 0.16")
        expected, remedy = "a positive number of steps", "use the predictor by itself for none"
        require(num_corrections > 0, "num_corrections", num_corrections, expected, remedy)
        self.snr, self.num_corrections = snr, num_corrections

    @property
    def nfe(self) -> int:
        return self.predictor.nfe + self.num_corrections * (self.num_steps - 1)

    def with_steps(self, num_steps: int) -> Self:
        solver = super().with_steps(num_steps)
        solver.predictor = self.predictor.with_steps(num_steps)
        return solver

    def check(self, path: GaussianPath) -> None:
        self.predictor.check(path)

    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        x = self.predictor.step(denoiser, x_t, t, s, condition, rng)
        if s == 0:
            return x
        sigma = float(denoiser.path.sigma(torch.tensor(s, dtype=torch.float64)))
        length = 2 * (self.snr * sigma) ** 2
        for _ in range(self.num_corrections):
            eps = at_time(denoiser, x, s, condition).eps
            x = x - length / sigma * eps + math.sqrt(2 * length) * rng.normal(x.shape[1:]).to(x)
        return x

    def protocol(self) -> dict[str, object]:
        more = {"snr": self.snr, "num_corrections": self.num_corrections}
        return {**super().protocol(), **more, "predictor": self.predictor.protocol()}
