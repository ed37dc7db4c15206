"""EDM's preconditioning: a network whose input, output and time are of order 1 at all noise levels."""

import torch
from torch import Tensor

from genlab.core import expand_like, require, require_finite
from genlab.probability.gaussian_path import GaussianPath
from genlab.probability.predictions import Prediction


class EDMPrediction(Prediction):
    """EDM's preconditioned network: pred = F = (x_0 - c_skip x_t) / c_out, of unit variance at all noise levels.

    For data of standard deviation sigma_data and V = sigma^2 + alpha^2 sigma_data^2, the variance of x_t,

        c_skip = alpha sigma_data^2 / V,   c_out = sigma sigma_data / sqrt(V),
        c_in = 1 / sqrt(V),   c_noise = noise_scale log(sigma / alpha),

    so that F = (sigma x_0 / sigma_data - alpha sigma_data eps) / sqrt(V) (-v on a variance-preserving path
    for sigma_data = 1). With alpha = 1 these are the paper's; on another path they are the paper's at noise level
    sigma / alpha, for x_t / alpha.

    Args:
        sigma_data: standard deviation of the data, per value.
        noise_scale: of c_noise, 1/4 in the paper. Networks here take sinusoids of as much as 1,000 times their
            time, which at neighbouring noise levels are unlike; at 0.001 F is smooth in time, as is asked of a
            consistency model, which is to agree at neighbours.

    Raises:
        UserError: sigma_data or noise_scale is not positive.

    Source: Karras et al. 2022, eq. 7 and table 1; on noise_scale, Song and Dhariwal 2023, section 3.2.
    """

    def __init__(self, sigma_data: float = 0.5, noise_scale: float = 0.25):
        require_finite(sigma_data=sigma_data, noise_scale=noise_scale)
        require(
            sigma_data > 0, "sigma_data", sigma_data, "a positive number", "use the data's, 0.5 for images"
        )
        require(noise_scale > 0, "noise_scale", noise_scale, "a positive number", "the paper's is 0.25")
        self.sigma_data, self.noise_scale = sigma_data, noise_scale

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        deviation = self._deviation(path, t)
        return path.sigma(t) / (self.sigma_data * deviation), -path.alpha(t) * self.sigma_data / deviation

    def determinant(self, path: GaussianPath, t: Tensor) -> Tensor:
        return -self._deviation(path, t) / self.sigma_data

    def scale_input(self, path: GaussianPath, x_t: Tensor, t: Tensor) -> Tensor:
        return x_t / expand_like(self._deviation(path, t), x_t)

    def network_time(self, path: GaussianPath, t: Tensor) -> Tensor:
        return self.noise_scale * path.noise_level(t).log()

    def _deviation(self, path: GaussianPath, t: Tensor) -> Tensor:
        """sqrt(V)."""
        return torch.hypot(path.sigma(t), path.alpha(t) * self.sigma_data)
