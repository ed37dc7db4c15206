"""Paths that leave the data as they are, alpha = 1, and add ever more noise."""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability.gaussian_path import GaussianPath


class VarianceExplodingPath(GaussianPath):
    """alpha = 1, sigma from sigma_min to sigma_max; a subclass says how.

    Raises:
        UserError: unless 0 < sigma_min < sigma_max.
    """

    def __init__(self, sigma_min: float, sigma_max: float, t_min: float, t_max: float):
        got, remedy = (sigma_min, sigma_max), "0.01 and 50, 0.002 and 80 are the papers'"
        ordered = 0 < sigma_min < sigma_max < math.inf
        require(ordered, "sigma_min, sigma_max", got, "0 < sigma_min < sigma_max", remedy)
        super().__init__(t_min, t_max)
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    @abstractmethod
    def time_of_noise_level(self, level: Tensor) -> Tensor:
        """The t at which sigma(t) = level."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def alpha_dot(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "sigma_min": self.sigma_min, "sigma_max": self.sigma_max}


class VEPath(VarianceExplodingPath):
    """alpha = 1, sigma(t) = sigma_min (sigma_max / sigma_min)^t.

    Data at t = 0 have noise of sigma_min, which no eye sees; x_1 has the data's variance beside sigma_max^2,
    which samples from N(0, sigma_max^2) lack.

    Args:
        sigma_min, sigma_max: at t = 0 and 1; sigma_max is to be the largest distance between two data.

    Source: Song et al. 2021, eq. 9 and appendix C, eq. 30-31.
    """

    def __init__(
        self, sigma_min: float = 0.01, sigma_max: float = 50.0, t_min: float = 0.0, t_max: float = 1.0
    ):
        super().__init__(sigma_min, sigma_max, t_min, t_max)
        self._log_ratio = math.log(sigma_max / sigma_min)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * torch.exp(self._log_ratio * t)

    def sigma_dot(self, t: Tensor) -> Tensor:
        return self._log_ratio * self.sigma(t)

    def time_of_noise_level(self, level: Tensor) -> Tensor:
        return (level / self.sigma_min).log() / self._log_ratio


class EDMPath(VarianceExplodingPath):
    """alpha = 1, sigma(t) = sigma_max t: EDM's sigma, which is its time, in units of sigma_max.

    Straight trajectories at low and high noise; steps of Euler and Heun are the paper's, to which this time is a
    rescaling. It is used down to sigma_min, t_min = sigma_min / sigma_max.

    Args:
        sigma_min, sigma_max: lowest and highest noise level.

    Source: Karras et al. 2022, table 1 and section 3.

    >>> EDMPath(sigma_max=80).time_of_noise_level(torch.tensor([8.0]))
    tensor([0.1000])
    """

    def __init__(self, sigma_min: float = 0.002, sigma_max: float = 80.0):
        super().__init__(sigma_min, sigma_max, t_min=sigma_min / sigma_max, t_max=1.0)

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t

    def sigma_dot(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.sigma_max)

    def time_of_noise_level(self, level: Tensor) -> Tensor:
        return level / self.sigma_max
