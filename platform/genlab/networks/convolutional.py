"""Residual convolutional networks between images and vectors, from 8x8 to 256x256."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from genlab.core import DataSpec, require
from genlab.networks.blocks import Upsample, coarsest, group_norm


class PreActivationBlock(nn.Module):
    """x + conv(dropout(silu(norm(conv(silu(norm(x))))))) at one width.

    Args:
        channels: of input and output.
        dropout: probability of losing a value between the convolutions.

    Source: He et al. 2016, "Identity mappings in deep residual networks", fig. 4e, with group normalisation.
    """

    def __init__(self, channels: int, dropout: float = 0.0):
        super().__init__()
        self.branch = nn.Sequential(
            *norm_silu_layers(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            *norm_silu_layers(channels),
            nn.Dropout(dropout),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def norm_silu_layers(channels: int) -> list[nn.Module]:
    """Group normalisation, then SiLU."""
    return [group_norm(channels), nn.SiLU()]


class ConvEncoder(nn.Module):
    """Images to vectors: residual blocks at each resolution, a strided convolution between, one linear map.

    Args:
        spec: of the data, whose shape is (C, H, W).
        num_features: length of the vector.
        channels: width at each resolution, from the image's own downwards; each step halves the sides.
        num_blocks: residual blocks per resolution.
        dropout: in the residual blocks.
        spatial: the vector is a flattened map at the lowest resolution, made by a convolution in place of the
            linear map.

    Attributes:
        grid: height and width of that map; () where it is not spatial.

    Raises:
        UserError: the data are no images, a side can't be halved that often, or the map's positions can't share
            the features.

    >>> from genlab.core import DataSpec, ModalitySpec
    >>> import torch
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})
    >>> ConvEncoder(spec, 10, channels=[8, 16])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        spec: DataSpec,
        num_features: int,
        channels: Sequence[int] = (32, 64),
        num_blocks: int = 1,
        dropout: float = 0.0,
        spatial: bool = False,
    ):
        super().__init__()
        colours, *size = coarsest(spec, len(channels), "channels")
        layers: list[nn.Module] = [nn.Conv2d(colours, channels[0], 3, padding=1)]
        for level, width in enumerate(channels):
            if level > 0:
                layers.append(nn.Conv2d(channels[level - 1], width, 3, stride=2, padding=1))
            layers += [PreActivationBlock(width, dropout) for _ in range(num_blocks)]
        self.trunk = nn.Sequential(*layers)
        self.grid = tuple(size) if spatial else ()
        if spatial:
            last = [nn.Conv2d(channels[-1], shared(num_features, size), 3, padding=1), nn.Flatten()]
        else:
            last = [nn.Flatten(), nn.Linear(channels[-1] * math.prod(size), num_features)]
        self.head = nn.Sequential(*norm_silu_layers(channels[-1]), *last)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, num_features)."""
        return self.head(self.trunk(x.to(self.trunk[0].bias.dtype)))


class ConvDecoder(nn.Module):
    """Vectors to images: the mirror of `ConvEncoder`, with nearest-neighbour doubling between resolutions.

    Args:
        spec: of the data, whose shape is (C, H, W).
        num_features: length of the vector.
        num_channels: of the output, what the likelihood asks for.
        channels: width at each resolution, from the image's own downwards, as the encoder's.
        num_blocks: residual blocks per resolution.
        dropout: in the residual blocks.
        spatial: the vector is a flattened map at the lowest resolution, as the encoder's.

    Raises:
        UserError: the data are no images, a side can't be halved that often, or the map's positions can't share
            the features.
    """

    def __init__(
        self,
        spec: DataSpec,
        num_features: int,
        num_channels: int,
        channels: Sequence[int] = (32, 64),
        num_blocks: int = 1,
        dropout: float = 0.0,
        spatial: bool = False,
    ):
        super().__init__()
        _, *size = coarsest(spec, len(channels), "channels")
        bottom = (channels[-1], *size)
        if spatial:
            width = shared(num_features, size)
            first = [nn.Unflatten(1, (width, *size)), nn.Conv2d(width, channels[-1], 3, padding=1)]
        else:
            first = [nn.Linear(num_features, math.prod(bottom)), nn.Unflatten(1, bottom)]
        self.head = nn.Sequential(*first)
        layers: list[nn.Module] = []
        for level in reversed(range(len(channels))):
            layers += [PreActivationBlock(channels[level], dropout) for _ in range(num_blocks)]
            if level > 0:
                layers.append(Upsample(channels[level], channels[level - 1]))
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Sequential(
            *norm_silu_layers(channels[0]), nn.Conv2d(channels[0], num_channels, 3, padding=1)
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, num_features) -> (B, num_channels, H, W), without bounds."""
        return self.out(self.trunk(self.head(z.to(self.out[-1].bias.dtype))))


def shared(num_features: int, size: Sequence[int]) -> int:
    """Channels of a map of this height and width that holds so many features.

    Raises:
        UserError: they can't be shared out.
    """
    area = math.prod(size)
    expected = f"a multiple of the {area} positions of a {size[0]}x{size[1]} map"
    require(num_features % area == 0, "num_features", num_features, expected, "change latent_dim, or spatial")
    return num_features // area
