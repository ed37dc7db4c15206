"""EDM's preconditioning: a network whose input, output and time are of order 1 at all noise levels."""

import torch
from torch import Tensor

from genlab.core import expand_like, require
from genlab.probability.gaussian_path import GaussianPath
from genlab.probability.predictions import Prediction


class EDMPrediction(Prediction):
    """EDM's preconditioned network: pred = F = (x_0 - c_skip x_t) / c_out, of unit variance at all noise levels.

    For data of standard deviation sigma_data and V = sigma^2 + alpha^2 sigma_data^2, the variance of x_t,

        c_skip = alpha sigma_data^2 / V,   c_out = sigma sigma_data / sqrt(V),
        c_in = 1 / sqrt(V),   c_noise = log(sigma / alpha) / 4,

    so that F = (sigma x_0 / sigma_data - alpha sigma_data eps) / sqrt(V) (-v on a variance-preserving path
    for sigma_data = 1). With alpha = 1 these are the paper's; on another path they are the paper's at noise level
    sigma / alpha, for x_t / alpha.

    Args:
        sigma_data: standard deviation of the data, per value.

    Raises:
        UserError: sigma_data is not positive.

    Source: Karras et al. 2022, eq. 7 and table 1.
    """

    def __init__(self, sigma_data: float = 0.5):
        require(
            sigma_data > 0, "sigma_data", sigma_data, "a positive number", "use the data's, 0.5 for images"
        )
        self.sigma_data = sigma_data

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        deviation = self._deviation(path, t)
        return path.sigma(t) / (self.sigma_data * deviation), -path.alpha(t) * self.sigma_data / deviation

    def determinant(self, path: GaussianPath, t: Tensor) -> Tensor:
        return -self._deviation(path, t) / self.sigma_data

    def scale_input(self, path: GaussianPath, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t / expand_like(self._deviation(path, t), x_t)

    def network_time(self, path: GaussianPath, t: Tensor) -> Tensor:
        return path.noise_level(t).log() / 4

    def _deviation(self, path: GaussianPath, t: Tensor) -> Tensor:
        """sqrt(V)."""
        return torch.hypot(path.sigma(t), path.alpha(t) * self.sigma_data)
