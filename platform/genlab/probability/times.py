"""Distributions of the training time t."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genlab.core import require, require_finite
from genlab.probability.gaussian_path import GaussianPath


class TimeDistribution(ABC):
    """A distribution on [t_min, t_max], given by its quantile function.

    Args:
        stratified: cover the quantiles evenly within a batch, u_i = (u + i) / B with one uniform u
            (Kingma et al. 2021, appendix I.1), so that a batch's mean loss varies less. Each t is still
            distributed as asked.
    """

    def __init__(self, stratified: bool = False):
        self.stratified = stratified

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """The quantile function before scaling to the path's times: [0, 1] -> [0, 1]."""

    def sample(self, num_samples: int, path: GaussianPath, device: torch.device | str = "cpu") -> Tensor:
        """Times (num_samples,) float32 in [path.t_min, path.t_max], from torch's global generator."""
        # float32 even where the default is half precision, which has but a few hundred numbers in [0, 1].
        if self.stratified:
            u = torch.rand((), dtype=torch.float32, device=device)
            u = (u + torch.arange(num_samples, device=device)) / num_samples
        else:
            u = torch.rand(num_samples, dtype=torch.float32, device=device)
        return self.times(u, path)

    def times(self, u: Tensor, path: GaussianPath) -> Tensor:
        """The times of quantiles u: [0, 1] -> [path.t_min, path.t_max]."""
        return path.t_min + (path.t_max - path.t_min) * self.quantile(u)

    def weigh(self, loss: Tensor, t: Tensor, path: GaussianPath) -> Tensor:
        """The losses (B,) at times t (B,) as the objective is to average them: here as they are."""
        return loss


class UniformTime(TimeDistribution):
    """Uniform on [t_min, t_max].

    >>> from genlab.probability.paths import LinearPath
    >>> UniformTime(stratified=True).sample(4, LinearPath()).sort().values.diff()
    tensor([0.2500, 0.2500, 0.2500])
    """

    def quantile(self, u: Tensor) -> Tensor:
        return u


class LogitNormalTime(TimeDistribution):
    """t = sigmoid(mean + std z) with z standard normal, scaled to [t_min, t_max] (Esser et al. 2024, eq. 19).

    Args:
        mean: of logit(t); above 0 leans to noise, below to data.
        std: of logit(t).

    Raises:
        UserError: std is not positive.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, stratified: bool = False):
        super().__init__(stratified)
        require_finite(mean=mean, std=std)
        require(std > 0, "std", std, "a positive number", "the usual value is 1")
        self.mean = mean
        self.std = std

    def quantile(self, u: Tensor) -> Tensor:
        # In float32 u may be 0 or round to 1, whose normal quantiles are infinite; the sigmoid takes them to 0 and 1.
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))


class LogNormalTime(TimeDistribution):
    """log(sigma / alpha) ~ N(mean, std^2), as EDM draws its noise level; kept within the path's times.

    Args:
        mean, std: of the logarithm of the noise level; the paper's are -1.2 and 1.2 for images in [-1, 1].

    Raises:
        UserError: std is not positive.

    Source: Karras et al. 2022, table 1.

    >>> from genlab.probability.variance_exploding import EDMPath
    >>> LogNormalTime(mean=0.0).times(torch.tensor([0.5]), EDMPath(sigma_max=80)) * 80
    tensor([1.])
    """

    def __init__(self, mean: float = -1.2, std: float = 1.2, stratified: bool = False):
        super().__init__(stratified)
        require_finite(mean=mean, std=std)
        require(std > 0, "std", std, "a positive number", "EDM's is 1.2")
        self.mean = mean
        self.std = std

    def quantile(self, u: Tensor) -> Tensor:
        """The noise level's quantile: [0, 1] -> (0, inf)."""
        # In float32 u may be 0 or round to 1, whose normal quantiles are infinite, as paths' times then need not be.
        return torch.exp(self.mean + self.std * torch.special.ndtri(u.clamp(1e-7, 1 - 1e-7)))

    def times(self, u: Tensor, path: GaussianPath) -> Tensor:
        return path.time_of_noise_level(self.quantile(u)).clamp(path.t_min, path.t_max)
