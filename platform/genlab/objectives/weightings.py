"""Weightings of the denoising loss over time, usable under any prediction.

An error of a prediction, of eps and of x_0 at the same x_t are proportional to each other:
|err_eps| = |alpha / D| |err_pred| and |err_x0| = |sigma / D| |err_pred| (D as in `probability.predictions`).
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genlab.core import require
from genlab.probability import GaussianPath, Prediction


class Weighting(nn.Module, ABC):
    """A weight for the squared error of the prediction.

    Attributes:
        is_factor: whether `loss` is the weight times the error, so that the weight alone may serve for something else.
    """

    is_factor = True

    @abstractmethod
    def forward(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        """Weights (B,) at times t (B,)."""

    def loss(self, error: Tensor, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        """Loss (B,) of squared errors (B,) of the prediction at times t (B,): the weighted error."""
        return self(path, prediction, t) * error


class OwnSpace(Weighting):
    """w = 1: the error of what the network predicts counts alike at all times."""

    def forward(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        return torch.ones_like(t)


class NoiseSpace(Weighting):
    """w |err_pred|^2 = f(lambda) |err_eps|^2 with f = 1: DDPM's "simple" loss under any prediction.

    A subclass gives another f, a function of the log-SNR lambda (Kingma and Gao 2023, section 2).

    Source: Ho et al. 2020, eq. 14.
    """

    def of_log_snr(self, log_snr: Tensor) -> Tensor:
        """f(lambda)."""
        return torch.ones_like(log_snr)

    def forward(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        return self.of_log_snr(path.log_snr(t)) * (path.alpha(t) / prediction.determinant(path, t)) ** 2


class MinSNR(NoiseSpace):
    """f(lambda) = min(1, gamma / SNR): the error of x_0 weighted by min(SNR, gamma).

    Args:
        gamma: the signal-to-noise ratio above which the weight falls.

    Raises:
        UserError: gamma is not positive.

    Source: Hang et al. 2023, eq. 7-8.
    """

    def __init__(self, gamma: float = 5.0):
        super().__init__()
        require(gamma > 0, "gamma", gamma, "a positive number", "the paper's is 5")
        self.gamma = gamma

    def of_log_snr(self, log_snr: Tensor) -> Tensor:
        return (self.gamma * torch.exp(-log_snr)).clamp(max=1)


class P2(NoiseSpace):
    """f(lambda) = 1 / (k + SNR)^gamma: less weight where the noise is too weak to hide anything but details.

    Args:
        gamma: how strongly; 0 is DDPM's simple loss.
        k: above 0; where SNR is much below it, the weight is constant.

    Raises:
        UserError: gamma is negative or k not positive.

    Source: Choi et al. 2022, eq. 8.

    >>> P2(gamma=1, k=1).of_log_snr(torch.tensor([0.0]))
    tensor([0.5000])
    """

    def __init__(self, gamma: float = 1.0, k: float = 1.0):
        super().__init__()
        require(gamma >= 0, "gamma", gamma, "0 or more", "the paper's are 0.5 and 1")
        require(k > 0, "k", k, "a positive number", "the paper's is 1")
        self.gamma, self.k = gamma, k

    def of_log_snr(self, log_snr: Tensor) -> Tensor:
        return (self.k + log_snr.exp()) ** -self.gamma


class EDM(NoiseSpace):
    """The error of x_0 at noise level s = sigma / alpha weighted by (s^2 + sigma_data^2) / (s sigma_data)^2.

    In terms of eps, f(lambda) = 1 + exp(-lambda) / sigma_data^2. Under EDM's own prediction F it is w = 1.

    Args:
        sigma_data: standard deviation of the data; 0.5 is that of photographs in [-1, 1].

    Raises:
        UserError: sigma_data is not positive.

    Source: Karras et al. 2022, table 1 and section 5.

    >>> EDM(sigma_data=0.5).of_log_snr(torch.tensor([0.0]))
    tensor([5.])
    """

    def __init__(self, sigma_data: float = 0.5):
        super().__init__()
        require(
            0 < sigma_data < math.inf, "sigma_data", sigma_data, "a positive number", "the paper's is 0.5"
        )
        self.sigma_data = sigma_data

    def of_log_snr(self, log_snr: Tensor) -> Tensor:
        return 1 + torch.exp(-log_snr) / self.sigma_data**2

    def forward(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        # alpha^2 f(lambda) without a quotient: f is infinite where alpha is 0, as at the end of the linear path.
        variance = path.alpha(t) ** 2 + (path.sigma(t) / self.sigma_data) ** 2
        return variance / prediction.determinant(path, t) ** 2
