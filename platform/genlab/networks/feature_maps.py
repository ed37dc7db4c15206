"""Convolutional networks between images and feature maps: what first stages with tokens are made of."""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.core import DataSpec, require
from genlab.networks.attention import SelfAttention2d
from genlab.networks.blocks import Downsample, Upsample, coarsest
from genlab.networks.convolutional import PreActivationBlock, norm_silu_layers


class MapEncoder(nn.Module):
    """Images to maps of features: residual blocks at each resolution, a strided convolution between.

    Args:
        spec: of the data, whose shape is (C, H, W).
        dim: channels of the map.
        channels: width at each resolution, from the image's own downwards; each step halves the sides.
        num_blocks: residual blocks per resolution.
        attention: whether positions of the lowest resolution attend to each other.
        dropout: in the residual blocks.

    Attributes:
        grid: height and width of the map.

    Raises:
        UserError: the data are no images, a side can't be halved that often, or a number is out of range.

    Source: Esser et al. 2021, "Taming transformers for high-resolution image synthesis", table 7.

    >>> import torch
    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})
    >>> MapEncoder(spec, 4, channels=[8, 16])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 4, 4, 4])
    """

    def __init__(
        self,
        spec: DataSpec,
        dim: int,
        channels: Sequence[int] = (64, 128),
        num_blocks: int = 2,
        attention: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        colours, self.grid = _checked(spec, channels, num_blocks)
        layers: list[nn.Module] = [nn.Conv2d(colours, channels[0], 3, padding=1)]
        for level, width in enumerate(channels):
            if level > 0:
                layers += [Downsample(channels[level - 1]), widened(channels[level - 1], width)]
            layers += [PreActivationBlock(width, dropout) for _ in range(num_blocks)]
        self.trunk = nn.Sequential(*layers, *middle(channels[-1], attention, dropout))
        self.head = nn.Sequential(*norm_silu_layers(channels[-1]), nn.Conv2d(channels[-1], dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, dim, *grid)."""
        return self.head(self.trunk(x.to(self.trunk[0].bias.dtype)))


class MapDecoder(nn.Module):
    """Maps of features to images: the mirror of `MapEncoder`, with nearest-neighbour doubling between resolutions.

    Args:
        spec: of the data, whose shape is (C, H, W).
        dim: channels of the map.
        num_channels: of the output, what the likelihood asks for.
        channels: width at each resolution, from the image's own downwards, as the encoder's.
        num_blocks: residual blocks per resolution.
        attention: whether positions of the lowest resolution attend to each other.
        dropout: in the residual blocks.

    Attributes:
        grid: height and width of the maps that it takes.
        last: the last convolution, where gradients of losses on images can be compared.

    Raises:
        UserError: the data are no images, a side can't be halved that often, or a number is out of range.
    """

    def __init__(
        self,
        spec: DataSpec,
        dim: int,
        num_channels: int,
        channels: Sequence[int] = (64, 128),
        num_blocks: int = 2,
        attention: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        _, self.grid = _checked(spec, channels, num_blocks)
        layers: list[nn.Module] = [nn.Conv2d(dim, channels[-1], 3, padding=1)]
        layers += middle(channels[-1], attention, dropout)
        for level in reversed(range(len(channels))):
            layers += [PreActivationBlock(channels[level], dropout) for _ in range(num_blocks)]
            if level > 0:
                layers.append(Upsample(channels[level], channels[level - 1]))
        self.trunk = nn.Sequential(*layers, *norm_silu_layers(channels[0]))
        self.last = nn.Conv2d(channels[0], num_channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """(B, dim, *grid) -> (B, num_channels, H, W), without bounds."""
        return self.last(self.trunk(z.to(self.last.bias.dtype)))


def _checked(spec: DataSpec, channels: Sequence[int], num_blocks: int) -> tuple[int, tuple[int, int]]:
    """The data's channels, and height and width of their maps."""
    colours, height, width = coarsest(spec, len(channels), "channels")
    require(min(channels) >= 1, "channels", list(channels), "positive widths", "raise them")
    require(num_blocks >= 0, "num_blocks", num_blocks, "a non-negative integer", "use 2")
    return colours, (height, width)


def widened(channels: int, wanted: int) -> nn.Module:
    """A 1x1 convolution to so many channels, where there are others."""
    return nn.Identity() if channels == wanted else nn.Conv2d(channels, wanted, 1)


def middle(channels: int, attention: bool, dropout: float) -> list[nn.Module]:
    """What is done at the lowest resolution: a block, attention and a block, or nothing."""
    if not attention:
        return []
    return [
        PreActivationBlock(channels, dropout),
        SelfAttention2d(channels),
        PreActivationBlock(channels, dropout),
    ]
