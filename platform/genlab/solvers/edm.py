"""EDM's stochastic sampler: Heun's method in the noise level, with noise added before each step."""

import math

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises, GaussianPath, at_time
from genlab.solvers.grids import TimeGrid
from genlab.solvers.heun_step import heun_of_estimates
from genlab.solvers.multistep import node_at
from genlab.solvers.noise_grids import KarrasGrid
from genlab.solvers.solver import Solver


class EDMStochastic(Solver):
    """Raise the noise level from sigma to sigma (1 + gamma), then one step of Heun's method in sigma to the next.

    On the paper's path, alpha = 1; on another in y = x / alpha, whose ODE is dy / d(sigma / alpha) = eps:

        gamma = min(churn / N, sqrt 2 - 1) for noise levels in [s_min, s_max], else 0,
        y' = y + sqrt(gamma (2 + gamma)) sigma s_noise z,  y_s = y' + (sigma_s - (1 + gamma) sigma) (eps + eps_s) / 2

    Args:
        num_steps: N.
        grid: of times; None is Karras's with rho = 7.
        churn: 0 is deterministic; the paper's are 5 to 80.
        s_min, s_max: noise levels between which noise is added.
        s_noise: its standard deviation; a little above 1 makes up for what denoisers remove too much.

    Raises:
        UserError: a negative number, or s_max below s_min.

    Source: Karras et al. 2022, algorithm 2, and its eq. 4 for other paths.
    """

    def __init__(
        self,
        num_steps: int = 18,
        grid: TimeGrid | None = None,
        churn: float = 0.0,
        s_min: float = 0.0,
        s_max: float = math.inf,
        s_noise: float = 1.0,
    ):
        super().__init__(num_steps, grid or KarrasGrid())
        require(churn >= 0, "churn", churn, "0 or more", "0 is deterministic, the paper's are 5 to 80")
        require(0 <= s_min <= s_max, "s_min, s_max", (s_min, s_max), "0 <= s_min <= s_max", "change them")
        require(s_noise > 0, "s_noise", s_noise, "a positive number", "the paper's are 1 to 1.007")
        self.churn, self.s_min, self.s_max, self.s_noise = churn, s_min, s_max, s_noise

    @property
    def needs_score(self) -> bool:
        return self.churn > 0

    @property
    def nfe(self) -> int:
        return 2 * self.num_steps - 1

    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        path = denoiser.path
        t, x_t = self._churned(path, x_t, t, rng) if self.churn else (t, x_t)
        estimate = at_time(denoiser, x_t, t, condition)
        if s == 0:
            return estimate.x_0
        (_, alpha_t, sigma_t, _), (_, alpha_s, sigma_s, _) = node_at(path, t), node_at(path, s)
        if alpha_t == 0:  # an infinite noise level, from which the only step is to the estimate
            return estimate.step(x_t, 0.0, alpha_s, sigma_s)
        change, kept = sigma_s - sigma_t * alpha_s / alpha_t, alpha_s / alpha_t
        half = (0.0, change / 2)
        return heun_of_estimates(denoiser, estimate, x_t, s, kept, half, half, condition)

    def _churned(self, path: GaussianPath, x_t: Tensor, t: float, rng: RandomStreams) -> tuple[float, Tensor]:
        """t and x_t at the raised noise level, which is not raised beyond t_max's."""
        levels = path.noise_level(torch.tensor([t, path.t_max], dtype=torch.float64))
        level, most = levels.tolist()
        noise = rng.normal(x_t.shape[1:]).to(x_t)
        gamma = (
            min(self.churn / self.num_steps, math.sqrt(2) - 1) if self.s_min <= level <= self.s_max else 0.0
        )
        raised = min(level * (1 + gamma), most)
        if not raised > level:
            return t, x_t
        to = path.time_of_noise_level(torch.tensor(raised, dtype=torch.float64)).clamp(max=path.t_max)
        at = torch.tensor(t, dtype=torch.float64)
        kept, alpha = float(path.alpha(to) / path.alpha(at)), float(path.alpha(to))
        return float(to), kept * x_t + alpha * self.s_noise * math.sqrt(raised**2 - level**2) * noise

    def protocol(self) -> dict[str, object]:
        churn = {"churn": self.churn, "s_min": self.s_min, "s_noise": self.s_noise}
        return {**super().protocol(), **churn, "s_max": self.s_max if math.isfinite(self.s_max) else None}
