"""Plain strided networks between images and vectors: the small ones of papers on disentanglement."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from genlab.core import DataSpec
from genlab.networks.blocks import coarsest


class StridedEncoder(nn.Module):
    """Images to vectors: 4x4 convolutions, each of which halves the sides, and one hidden linear map; ReLU between.

    Args:
        spec: of the data, whose shape is (C, H, W).
        num_features: length of the vector.
        channels: of each convolution, finest first.
        width: of the hidden vector.

    Raises:
        UserError: the data are no images, or a side can't be halved that often.

    Source: Burgess et al. 2018, "Understanding disentangling in beta-VAE", appendix A; Chen et al. 2018 and Kim and
    Mnih 2018 use much the same, of 64x64 images.

    >>> from genlab.core import ModalitySpec
    >>> import torch
    >>> spec = DataSpec("sprites", {"image": ModalitySpec((3, 32, 32), 256)})
    >>> StridedEncoder(spec, 10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self, spec: DataSpec, num_features: int, channels: Sequence[int] = (32, 32, 64), width: int = 256
    ):
        super().__init__()
        colours, *size = coarsest(spec, len(channels) + 1, "channels")
        layers: list[nn.Module] = []
        for before, after in pairwise([colours, *channels]):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        flat = channels[-1] * math.prod(size)
        layers += [nn.Flatten(), nn.Linear(flat, width), nn.ReLU(), nn.Linear(width, num_features)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, num_features)."""
        return self.layers(x.to(self.layers[0].bias.dtype))


class StridedDecoder(nn.Module):
    """Vectors to images: the mirror of `StridedEncoder`, by transposed convolutions.

    Args:
        spec: of the data, whose shape is (C, H, W).
        num_features: length of the vector.
        num_channels: of the output, what the likelihood asks for.
        channels: finest first, as the encoder's.
        width: of the hidden vector.

    Raises:
        UserError: the data are no images, or a side can't be halved that often.
    """

    def __init__(
        self,
        spec: DataSpec,
        num_features: int,
        num_channels: int,
        channels: Sequence[int] = (32, 32, 64),
        width: int = 256,
    ):
        super().__init__()
        _, *size = coarsest(spec, len(channels) + 1, "channels")
        bottom = (channels[-1], *size)
        layers: list[nn.Module] = [nn.Linear(num_features, width), nn.ReLU()]
        layers += [nn.Linear(width, math.prod(bottom)), nn.ReLU(), nn.Unflatten(1, bottom)]
        for before, after in pairwise([*reversed(channels), num_channels]):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, z: Tensor) -> Tensor:
        """(B, num_features) -> (B, num_channels, H, W), without bounds."""
        return self.layers(z.to(self.layers[0].bias.dtype))
