"""Dequantisation: densities of noise within the bins of levels, uniform or learned."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.core import Condition, DataSpec, ModalitySpec, RandomStreams, require, sum_per_sample
from genlab.probability import Denoises


class UniformDequantisation:
    """u uniform within each level's bin: log q = -D log(bin width).

    Args:
        spec: of the data, with levels.

    Raises:
        UserError: data without levels.

    Source: Theis et al. 2016, section 3.1.
    """

    def __init__(self, spec: DataSpec | ModalitySpec):
        self.spec = _with_levels(spec)

    def __call__(self, x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor]:
        """x + u (B, ...), and log q(u | x) in nats, (B,) float64."""
        u = (rng.uniform(x.shape[1:]).to(x) - 0.5) * self.spec.bin_width
        log_q = -self.spec.num_values * math.log(self.spec.bin_width)
        return x + u, torch.full((len(x),), log_q, dtype=torch.float64, device=x.device)


class VariationalDequantisation(nn.Module):
    """u = width (sigmoid(z) - 1/2) with z ~ N(mu(x), s(x)^2), from a small convolutional network of the levels.

    log q(u | x) = sum log N(z; mu, s^2) - log(width sigmoid(z) (1 - sigmoid(z)))

    Trained with `loss`, for a model that stays as it is or along with it. At the start z has deviation 1.7 about 0,
    whose u is nearly uniform.

    Args:
        spec: of the data, images with levels.
        channels: of the network's two hidden layers.

    Raises:
        UserError: data without levels, or that are no images.

    Source: Ho et al. 2019 (Flow++), eq. 12-13, with one conditional Gaussian in place of their flow.
    """

    def __init__(self, spec: DataSpec | ModalitySpec, channels: int = 32):
        super().__init__()
        self.spec = _with_levels(spec)
        got = self.spec.shape
        require(len(got) == 3, "spec", got, "images (C, H, W)", "use UniformDequantisation for other data")
        self.network = nn.Sequential(
            nn.Conv2d(got[0], channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * got[0], 3, padding=1),
        )
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)

    def forward(self, x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor]:
        """x + u (B, ...), and log q(u | x) in nats, (B,) float64."""
        return self.from_noise(x, rng.normal(x.shape[1:]).to(x))

    def from_noise(self, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """x + u from prepared standard normal eps (B, ...), and log q(u | x), differentiable."""
        mean, raw = self.network(x).chunk(2, dim=1)
        log_std = math.log(1.7) + 3 * torch.tanh(raw / 3)
        z = mean + log_std.exp() * eps
        log_normal = -(eps**2 + math.log(2 * math.pi)) / 2 - log_std
        log_slope = math.log(self.spec.bin_width) + F.logsigmoid(z) + F.logsigmoid(-z)
        u = self.spec.bin_width * (torch.sigmoid(z) - 0.5)
        return x + u, sum_per_sample((log_normal - log_slope).double())

    def loss(
        self, denoiser: Denoises, x: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, Tensor]:
        """A loss of q by itself, (B,) in nats up to a constant, and x + u (B, ...), detached, for the model's loss.

        -log P(x) <= E_q[log q(u | x) - log p(x + u)], with the diffusion model's own bound for log p. Parameters of
        the denoiser get gradients too, unless they are frozen meanwhile. Noise comes from torch's global generator.
        """
        dequantised, log_q = self.from_noise(x, torch.randn_like(x))
        return log_q + diffusion_bound(denoiser, dequantised, condition), dequantised.detach()


def diffusion_bound(denoiser: Denoises, x: Tensor, condition: Condition | None = None) -> Tensor:
    """One random term of a bound of -log p(x), in nats up to a constant, (B,): differentiable in x.

    1/2 E_t [-d lambda / dt |eps - eps_hat(x_t, t)|^2], lambda = log SNR, with t drawn so that lambda is uniform:
    (lambda_max - lambda_min) / 2 |eps - eps_hat|^2.

    Source: Kingma et al. 2021, eq. 15 and 18, without the terms of the prior and of the last step.
    """
    path = denoiser.path
    ends = path.log_snr(torch.tensor([path.t_max, path.t_min], dtype=torch.float64)).clamp(-13, 13)
    low, high = ends
    u = (torch.rand((), device=x.device) + torch.arange(len(x), device=x.device) / len(x)) % 1
    t = path.time_of_log_snr(low + (high - low) * u).to(x.dtype).clamp(path.t_min, path.t_max)
    eps = torch.randn_like(x)
    error = eps - denoiser(path.sample(x, eps, t), t, condition).eps
    return (high - low) / 2 * sum_per_sample(error.square()).double()


def _with_levels(spec: DataSpec | ModalitySpec) -> ModalitySpec:
    spec = spec[spec.data] if isinstance(spec, DataSpec) else spec
    require(spec.num_levels > 0, "spec", spec, "data with levels", "continuous data need no dequantisation")
    return spec
