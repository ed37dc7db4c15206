"""A weighting that is learned: the loss at each noise level in units of what it can be there."""

import math

import torch
from torch import Tensor, nn

from genlab.core import require
from genlab.objectives.weightings import EDM, Weighting
from genlab.probability import GaussianPath, Prediction

MOST = 20.0  # |log SNR| beyond which u stays as it is; at the ends of some paths it is infinite


class LearnedUncertainty(Weighting):
    """L = w(t) error exp(-u(t)) + u(t), where u(t) is learned: at its minimum exp(u(t)) = E[w(t) error | t].

    All noise levels then contribute gradients of like size, whatever their losses are. u is a linear map of
    random Fourier features cos(2 pi (b_k c + p_k)) of c = -log(SNR) / 8 (which is log(sigma / alpha) / 4),
    b_k ~ N(0, 1), p_k ~ U(0, 1); it starts as 0. It is trained with the network and not used in sampling.

    Args:
        base: w; None is EDM's.
        num_features: of u.

    Raises:
        UserError: num_features is not positive, or the base is learned too, which no loss of its own would train.

    Source: Karras et al. 2024 (EDM2), eq. 14-15 and appendix B; Kendall et al. 2018 for tasks in place of times.
    """

    is_factor = False

    def __init__(self, base: Weighting | None = None, num_features: int = 128):
        super().__init__()
        require(num_features > 0, "num_features", num_features, "a positive integer", "the paper's is 128")
        self.base = base or EDM()
        name, remedy = type(self.base).__name__, "use EDM, or leave it out"
        require(self.base.is_factor, "base", name, "a weighting that is a factor of time", remedy)
        self.register_buffer("frequencies", torch.randn(num_features))
        self.register_buffer("phases", torch.rand(num_features))
        self.linear = nn.Linear(num_features, 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        return self.base(path, prediction, t) * torch.exp(-self.log_loss(path, t))

    def loss(self, error: Tensor, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        u = self.log_loss(path, t)
        return self.base(path, prediction, t) * error * torch.exp(-u) + u

    def log_loss(self, path: GaussianPath, t: Tensor) -> Tensor:
        """u(t), (B,): the logarithm of the weighted error that is expected at times t (B,)."""
        c = path.log_snr(t).clamp(-MOST, MOST).float()[:, None] / -8
        features = math.sqrt(2) * torch.cos(2 * math.pi * (c * self.frequencies + self.phases))
        # A product of its own: a linear layer would round u to bfloat16 under mixed precision.
        return (features * self.linear.weight.float()).sum(1)
