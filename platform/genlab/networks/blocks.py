"""What convolutional networks are built of: norms, residual blocks, changes of resolution."""

import math
from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional

from genlab.core import DataSpec, require
from genlab.networks.norm_silu import norm_silu

Module = TypeVar("Module", bound=nn.Module)


def zero_init(module: Module) -> Module:
    """The module with its parameters set to zero, so that what it ends starts as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def group_norm(channels: int, max_groups: int = 32, min_channels: int = 4) -> nn.GroupNorm:
    """GroupNorm (Wu and He 2018) with the most groups that divide `channels` and hold `min_channels` each.

    >>> group_norm(128).num_groups, group_norm(96).num_groups, group_norm(6).num_groups
    (32, 24, 1)
    """
    most = max(1, min(max_groups, channels // min_channels))
    return nn.GroupNorm(next(g for g in range(most, 0, -1) if channels % g == 0), channels)


class ResidualBlock(nn.Module):
    """Two convolutions around a change of scale and shift by an embedding, added to the input.

    h = conv(SiLU(norm(x)));  h = (1 + s(emb)) norm(h) + b(emb);  y = skip(x) + conv(dropout(SiLU(h)))

    The last convolution starts at zero, so that the block starts as its skip.

    Args:
        in_channels, out_channels: of the feature maps.
        embedding_dim: size of the embedding; 0 for a block without one.
        dropout: probability, before the last convolution.
        kernel_size: of the convolutions, an odd number.

    Source: Dhariwal and Nichol 2021, section 3.1 (adaptive group normalisation).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_dim: int = 0,
        dropout: float = 0.0,
        kernel_size: int = 3,
    ):
        super().__init__()
        self.norm1 = group_norm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.modulation = nn.Linear(embedding_dim, 2 * out_channels) if embedding_dim else None
        self.norm2 = group_norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero_init(nn.Conv2d(out_channels, out_channels, kernel_size, padding=kernel_size // 2))
        same = in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """(B, in_channels, H, W), (B, embedding_dim) -> (B, out_channels, H, W)."""
        affine = () if self.modulation is None else self.modulation(embedding).chunk(2, dim=1)
        h = norm_silu(self.conv1(norm_silu(x, self.norm1)), self.norm2, *affine)
        return self.skip(x) + self.conv2(self.dropout(h))


class Downsample(nn.Module):
    """Halve the resolution by a strided convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        return self.conv(x)


class Upsample(nn.Module):
    """Double the resolution: each value is repeated, then convolved (no checkerboard; Odena et al. 2016).

    The two together are one transposed convolution of stride 2, whose 4x4 kernel is the 3x3 kernel convolved with
    a 2x2 square of ones: the same function, with 16 multiplications for 4 outputs in place of 36.

    Args:
        channels: of the input.
        out_channels: of the output; None for as many.
    """

    def __init__(self, channels: int, out_channels: int | None = None):
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels or channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out_channels, 2 H, 2 W)."""
        kernel = functional.pad(self.conv.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        kernel = functional.avg_pool2d(kernel, 2, stride=1, divisor_override=1)  # sums over squares
        return functional.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)


def coarsest(spec: DataSpec, num_resolutions: int, argument: str) -> tuple[int, int, int]:
    """The data's channels, and height and width at the last of so many resolutions, each half of the one before.

    Args:
        spec: of the data.
        num_resolutions: the data's own included.
        argument: of the network, that asks for them.

    Raises:
        UserError: the data are no images, or can't be halved that often.

    >>> from genlab.core import ModalitySpec
    >>> coarsest(DataSpec("x", {"image": ModalitySpec((3, 12, 8))}), 3, "channels")
    (3, 3, 2)
    """
    shape, remedy = spec.shape, "choose other data, or a network for vectors such as MLP"
    require(len(shape) == 3, "network", f"data of shape {shape}", "images (C, H, W)", remedy)
    colours, height, width = shape
    side = math.gcd(height, width)
    most = (side & -side).bit_length()  # its lowest set bit is how often it can be halved
    expected = f"1 to {most} for images of {height}x{width}, each half of the one before"
    remedy = "change its number of entries, or resize the images"
    require(1 <= num_resolutions <= most, argument, f"{num_resolutions} resolutions", expected, remedy)
    return colours, height >> (num_resolutions - 1), width >> (num_resolutions - 1)


def heights(spec: DataSpec, num_levels: int, attention: Sequence[int], reads: bool = False) -> list[int]:
    """The data's heights at the levels of a U-Net, each half of the one before.

    Args:
        spec: of the data.
        num_levels: of the network.
        attention: heights at which it attends.
        reads: whether there are tokens to attend to.

    Raises:
        UserError: attention at a height that no level has; tokens, and no attention.

    >>> from genlab.core import ModalitySpec
    >>> heights(DataSpec("x", {"image": ModalitySpec((3, 32, 32))}), 3, attention=[16])
    [32, 16, 8]
    """
    have = [spec.shape[1] >> level for level in range(num_levels)]
    expected, remedy = (
        f"heights of its levels, {', '.join(map(str, have))}",
        "choose among these, or [] for none",
    )
    for height in attention:
        require(height in have, "attention", height, expected, remedy)
    needs = f"one of {', '.join(map(str, have))}, to attend to tokens there"
    require(len(attention) > 0 or not reads, "attention", list(attention), needs, "or take no tokens")
    return have
