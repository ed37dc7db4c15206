"""The way up of a ladder of latents: images to a map of features at each resolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from genlab.core import DataSpec
from genlab.networks.blocks import ResidualBlock, coarsest


def kernel_at(shape: Sequence[int]) -> int:
    """Of convolutions on maps (C, h, w): 3, and 1 on a single position, whose neighbours are zeros."""
    return 1 if shape[1] == shape[2] == 1 else 3


def map_shapes(spec: DataSpec, channels: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    """(C, h, w) of the feature maps at each resolution, from the image's own downwards.

    Raises:
        UserError: the data are no images, or a side can't be halved that often.
    """
    coarsest(spec, len(channels), "channels")
    height, width = spec.shape[1:]
    return tuple((c, height >> level, width >> level) for level, c in enumerate(channels))


class LadderEncoder(nn.Module):
    """Images to a map of features at each resolution: residual blocks, and strided convolutions between.

    Args:
        spec: of the data, whose shape is (C, H, W).
        channels: width at each resolution, from the image's own downwards; each step halves the sides.
        num_blocks: residual blocks per resolution.
        dropout: in the residual blocks.

    Attributes:
        feature_shapes: (C, h, w) of what it gives.

    Raises:
        UserError: the data are no images, or a side can't be halved that often.

    Source: Child 2021, "Very deep VAEs generalize autoregressive models", figure 3.

    >>> import torch
    >>> from genlab.core import ModalitySpec
    >>> encoder = LadderEncoder(DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)}), [4, 8])
    >>> [tuple(h.shape) for h in encoder(torch.zeros(2, 1, 8, 8))]
    [(2, 4, 8, 8), (2, 8, 4, 4)]
    """

    def __init__(
        self, spec: DataSpec, channels: Sequence[int] = (32, 64), num_blocks: int = 1, dropout: float = 0.0
    ):
        super().__init__()
        self.feature_shapes = map_shapes(spec, channels)
        self.first = nn.Conv2d(spec.shape[0], channels[0], 3, padding=1)
        self.down, self.blocks = nn.ModuleList(), nn.ModuleList()
        for i, shape in enumerate(self.feature_shapes):
            if i > 0:
                self.down.append(nn.Conv2d(channels[i - 1], channels[i], 3, stride=2, padding=1))
            kernel, width = kernel_at(shape), channels[i]
            blocks = [
                ResidualBlock(width, width, dropout=dropout, kernel_size=kernel) for _ in range(num_blocks)
            ]
            self.blocks.append(nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, H, W) in [-1, 1] -> features, from the image's own resolution downwards."""
        h = self.blocks[0](self.first(x.to(self.first.bias.dtype)))
        features = [h]
        for down, blocks in zip(self.down, self.blocks[1:], strict=True):
            features.append(blocks(down(features[-1])))
        return features
