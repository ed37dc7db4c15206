"""Gaussian paths by name: linear, cosine, and DDPM's linear rate."""

import math

import torch
from torch import Tensor

from genlab.core import require, require_finite
from genlab.probability.gaussian_path import GaussianPath


class LinearPath(GaussianPath):
    """alpha(t) = 1 - t, sigma(t) = t: rectified flow, flow matching with the optimal-transport path.

    Source: Liu et al. 2023, eq. 1; Lipman et al. 2023, eq. 20 with sigma_min = 0 (and their time reversed).

    >>> LinearPath().sigma(torch.tensor([0.25]))
    tensor([0.2500])
    """

    def __init__(self, t_min: float = 0.0, t_max: float = 1.0):
        super().__init__(t_min, t_max)

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def alpha_dot(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def sigma_dot(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def time_of_noise_level(self, level: Tensor) -> Tensor:
        return 1 / (1 + 1 / level)  # t / (1 - t) = level; this way round it is right at inf


class CosinePath(GaussianPath):
    """alpha(t) = cos(pi t / 2), sigma(t) = sin(pi t / 2): variance preserving, the trigonometric path.

    With t_min = 0 and t_max = 1 it is the trigonometric interpolant, and TrigFlow in the unit of time pi / 2.
    `OffsetCosinePath` has the offset of improved DDPM, for which t_min stands in here.

    Source: Salimans and Ho 2022, section 3; Albergo and Vanden-Eijnden 2023, eq. 5; Lu and Song 2025,
    section 3.
    """

    def __init__(self, t_min: float = 1e-3, t_max: float = 0.999):
        super().__init__(t_min, t_max)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)

    def alpha_dot(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * torch.sin(math.pi / 2 * t)

    def sigma_dot(self, t: Tensor) -> Tensor:
        return math.pi / 2 * torch.cos(math.pi / 2 * t)

    def time_of_noise_level(self, level: Tensor) -> Tensor:
        return torch.atan(level) * (2 / math.pi)


class LinearBetaPath(GaussianPath):
    """Variance preserving with rate beta(t) = beta_min + t (beta_max - beta_min), DDPM's in continuous time.

    alpha(t) = exp(-B(t) / 2), sigma(t) = sqrt(1 - exp(-B(t))), B(t) = beta_min t + (beta_max - beta_min) t^2 / 2

    Args:
        beta_min, beta_max: rates at t = 0 and 1; DDPM's 1,000 steps from 1e-4 to 0.02 are 0.1 and 20.

    Raises:
        UserError: unless 0 < beta_min <= beta_max.

    Source: Ho et al. 2020, section 4; Song et al. 2021, eq. 32-33.

    >>> path = LinearBetaPath()
    >>> t = torch.tensor([0.3, 0.9])
    >>> torch.allclose(path.alpha(t) ** 2 + path.sigma(t) ** 2, torch.ones(2))
    True
    """

    def __init__(
        self, beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-3, t_max: float = 1.0
    ):
        super().__init__(t_min, t_max)
        require_finite(beta_max=beta_max)
        require(
            0 < beta_min <= beta_max,
            "beta_min, beta_max",
            (beta_min, beta_max),
            "0 < beta_min <= beta_max",
            "the usual values are 0.1 and 20",
        )
        self.beta_min = beta_min
        self.beta_max = beta_max

    def beta(self, t: Tensor) -> Tensor:
        """The rate beta(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2

    def _time_of_integral(self, integral: Tensor) -> Tensor:
        # The positive root of B(t) = integral, in the form that neither cancels nor divides by beta_max - beta_min.
        root = (self.beta_min**2 + 2 * (self.beta_max - self.beta_min) * integral).sqrt()
        return 2 * integral / (self.beta_min + root)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self._integral(t) / 2)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))  # 1 - exp(-B) would cancel near t = 0

    def alpha_dot(self, t: Tensor) -> Tensor:
        return -self.beta(t) / 2 * self.alpha(t)

    def sigma_dot(self, t: Tensor) -> Tensor:
        return self.beta(t) * self.alpha(t) ** 2 / (2 * self.sigma(t))

    def drift(self, t: Tensor) -> Tensor:
        return -self.beta(t) / 2

    def diffusion(self, t: Tensor) -> Tensor:
        return self.beta(t).sqrt()

    def time_of_noise_level(self, level: Tensor) -> Tensor:
        return self._time_of_integral(torch.log1p(level**2))  # sigma^2 / alpha^2 = exp(B) - 1

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "beta_min": self.beta_min, "beta_max": self.beta_max}
