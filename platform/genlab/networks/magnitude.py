"""Layers that preserve the expected magnitude of activations, sqrt(mean of squares), and keep that of weights at 1."""

import math

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

SILU_MAGNITUDE = 0.596  # sqrt(E[SiLU(x)^2]), x ~ N(0, 1)


def unit_magnitude(x: Tensor, dim: int | tuple[int, ...], eps: float = 1e-4) -> Tensor:
    """x / (eps + magnitude of x over `dim`), with all other dimensions on their own.

    Over the channels it is pixel norm, over a weight's inputs it is weight normalisation.

    Source: Karras et al. 2024, eq. 47 (weights), config G (pixels).

    >>> unit_magnitude(torch.tensor([[3.0, 4.0]]), dim=1).square().mean().round(decimals=2).item()
    1.0
    """
    norm = torch.linalg.vector_norm(x, dim=dim, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float))
    return x / (eps + math.sqrt(norm.numel() / x.numel()) * norm).to(x.dtype)


def mp_silu(x: Tensor) -> Tensor:
    """SiLU(x) / 0.596 (Karras et al. 2024, eq. 81)."""
    return functional.silu(x) / SILU_MAGNITUDE


def mp_sum(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """((1 - t) a + t b) / sqrt((1 - t)^2 + t^2) (Karras et al. 2024, eq. 88)."""
    return a.lerp(b, t) / math.hypot(1 - t, t)


def mp_cat(a: Tensor, b: Tensor, t: float = 0.5) -> Tensor:
    """Channels of a and of b, weighted so that b contributes a share t of the magnitude (Karras et al. 2024, eq. 103).

    sqrt((N_a + N_b) / ((1 - t)^2 + t^2)) [(1 - t) a / sqrt(N_a), t b / sqrt(N_b)]
    """
    n_a, n_b = a.shape[1], b.shape[1]
    c = math.sqrt(n_a + n_b) / math.hypot(1 - t, t)
    return torch.cat([c * (1 - t) / math.sqrt(n_a) * a, c * t / math.sqrt(n_b) * b], dim=1)


class MPFourier(nn.Module):
    """sqrt(2) cos(2 pi (f t + phi)), with f ~ N(0, 1) and phi ~ U(0, 1) drawn once (Karras et al. 2024, eq. 75).

    Args:
        num_features: of the result.
    """

    def __init__(self, num_features: int):
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * torch.randn(num_features))
        self.register_buffer("phases", 2 * math.pi * torch.rand(num_features))

    def forward(self, t: Tensor) -> Tensor:
        """Times (B,), of order 1 -> (B, num_features)."""
        angles = torch.addcmul(self.phases.float(), t.float()[:, None], self.frequencies.float())
        return math.sqrt(2) * angles.cos()


class MPLayer(nn.Module):
    """A linear map or a convolution without bias, whose weights have magnitude 1 for each output.

    y = gain W x / sqrt(number of inputs),  W's rows of unit magnitude

    Before each batch of training the stored weights are themselves set to unit magnitude (forced weight
    normalisation), so that their size can't grow and slow learning down.

    Args:
        in_channels, out_channels: of the layer.
        kernel_size: of a convolution, which keeps the resolution; 0 is a linear map.

    Source: Karras et al. 2024, eq. 47 and 66, algorithm 1.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 0):
        super().__init__()
        kernel = (kernel_size, kernel_size) if kernel_size else ()
        weight = torch.randn(out_channels, in_channels, *kernel)
        self.inputs = tuple(range(1, weight.ndim))
        self.weight = nn.Parameter(unit_magnitude(weight, self.inputs))

    @torch.no_grad()
    def force_weights(self) -> None:
        """Set the stored weights to unit magnitude; of sharded ones, which are whole rows, the own part."""
        weight = self.weight.to_local() if isinstance(self.weight, DTensor) else self.weight
        if weight.numel():
            weight.copy_(unit_magnitude(weight, self.inputs))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """(B, in_channels, ...) -> (B, out_channels, ...); a linear map acts on the last dimension."""
        w = unit_magnitude(self.weight, self.inputs)
        w = (w * (gain / math.sqrt(w[0].numel()))).to(x.dtype)
        if w.ndim == 2:
            return functional.linear(x, w)
        return functional.conv2d(x, w, padding=w.shape[-1] // 2)
