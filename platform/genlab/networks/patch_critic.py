"""A critic of patches."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from genlab.core import Condition, DataSpec, require
from genlab.networks.blocks import coarsest, group_norm
from genlab.networks.spectral_norm import spectral_norm


class PatchCritic(nn.Module):
    """Values of overlapping patches: strided 4x4 convolutions, then two that keep the resolution.

    Samples are not mixed: where the paper normalises by batches, groups of channels are normalised, or weights
    spectrally.

    Args:
        spec: of the data, whose shape is (C, H, W).
        channels: width after each strided convolution; each halves the sides.
        norm: "group", or "spectral".

    Raises:
        UserError: the data are no images, or a side can't be halved that often; norm is neither.

    Source: Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", section 3.2.2;
    Esser et al. 2021, section 3.1.

    >>> import torch
    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("x", {"image": ModalitySpec((3, 16, 16))})
    >>> PatchCritic(spec, channels=[8, 16])(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        spec: DataSpec,
        channels: Sequence[int] = (64, 128, 256),
        norm: Literal["group", "spectral"] = "group",
    ):
        super().__init__()
        require(norm in ("group", "spectral"), "norm", norm, "'group' or 'spectral'", "choose one of them")
        colours, *_ = coarsest(spec, len(channels) + 1, "channels")
        layers: list[nn.Module] = []
        for before, width in zip([colours, *channels], channels, strict=False):
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1)]
            layers += [group_norm(width)] if norm == "group" and before != colours else []
            layers += [nn.LeakyReLU(0.2)]
        last = channels[-1]
        layers += [nn.Conv2d(last, last, 3, padding=1)]
        layers += [group_norm(last)] if norm == "group" else []
        layers += [nn.LeakyReLU(0.2), nn.Conv2d(last, 1, 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        if norm == "spectral":
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    spectral_norm(layer)

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> the patches' values, (B, h w)."""
        return self.layers(x.to(self.layers[0].bias.dtype)).flatten(1)
