"""Fully connected encoder and decoder, of data of any shape."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from genlab.core import DataSpec, require
from genlab.networks.perceptron import perceptron


class DenseEncoder(nn.Module):
    """Data, flattened, to vectors by a perceptron; without hidden layers, by one linear map.

    Args:
        spec: of the data.
        num_features: length of the vector.
        widths: of the hidden layers.

    Raises:
        UserError: a width is not positive.

    >>> from genlab.core import ModalitySpec
    >>> import torch
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})
    >>> DenseEncoder(spec, 10, widths=[32])(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(self, spec: DataSpec, num_features: int, widths: Sequence[int] = ()):
        super().__init__()
        check_widths(widths)
        self.layers = perceptron([math.prod(spec.shape), *widths, num_features])

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, num_features)."""
        return self.layers(x.flatten(1).to(self.layers[0].bias.dtype))


class DenseDecoder(nn.Module):
    """Vectors to data by a perceptron: the mirror of `DenseEncoder`.

    Args:
        spec: of the data.
        num_features: length of the vector.
        num_channels: of the output, in the place of the data's own first dimension.
        widths: of the hidden layers, from the data's side downwards, as the encoder's.

    Raises:
        UserError: a width is not positive.
    """

    def __init__(self, spec: DataSpec, num_features: int, num_channels: int, widths: Sequence[int] = ()):
        super().__init__()
        check_widths(widths)
        shape = (num_channels, *spec.shape[1:])
        self.layers = perceptron([num_features, *reversed(widths), math.prod(shape)])
        self.out = nn.Unflatten(1, shape)

    def forward(self, z: Tensor) -> Tensor:
        """(B, num_features) -> (B, num_channels, ...), without bounds."""
        return self.out(self.layers(z.to(self.layers[0].bias.dtype)))


def check_widths(widths: Sequence[int]) -> None:
    """Refuse layers of nothing.

    Raises:
        UserError: a width is not positive.
    """
    require(all(width >= 1 for width in widths), "widths", list(widths), "positive integers", "raise them")
