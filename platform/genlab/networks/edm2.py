"""EDM2's magnitude-preserving U-Net."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, require_positive
from genlab.networks.blocks import coarsest, heights
from genlab.networks.conditions import (
    Conditional,
    condition_embedding,
    image_inputs,
    kinds_taken,
    token_embedding,
    with_image,
)
from genlab.networks.edm2_block import MPBlock
from genlab.networks.edm2_conditions import MPConditionEmbedding
from genlab.networks.magnitude import MPFourier, MPLayer, mp_cat, mp_silu, mp_sum, unit_magnitude


class EDM2UNet(nn.Module):
    """A U-Net that maps (x_t, t, condition) to an image of x_t's shape and keeps all magnitudes at 1.

    Activations have expected magnitude 1 where x_t has, weights are normalised by force, and there are no biases
    or group norms; the output's gain starts at 0. The published sizes are those of `channels`: XS 128, S 192,
    M 256, L 320, XL 384, XXL 448. It wants a prediction that scales x_t to unit magnitude, as EDM's does.

    Args:
        spec: of the data: images (C, H, W), and what they can be conditioned on.
        channels: of the first level.
        multipliers: of `channels`, one per level; H and W are halved between levels.
        num_blocks: residual blocks per level on the way down, after that which halves the resolution.
        attention: resolutions (heights) at which blocks are followed by attention, to all positions and to the
            condition's tokens; where there are any, the middle has one too. () is for none.
        head_dim: channels per attention head.
        dropout: probability, in the residual blocks.
        conditional: which kinds of condition are used: True for those that the data have, as modalities `label`,
            `vector`, `tokens` (by cross-attention) and `low_resolution` (an image, as further channels of the
            input); False for none; or names, of label, vector, tokens and image.
        channels_last: keep feature maps in that memory format, the faster one on GPUs under mixed precision.
        num_outputs: images that come out, of C channels each; 2 where variances are learned.

    Raises:
        UserError: a size below 1; data that are no images, or that can't be halved as often as there are levels;
            attention at a resolution that no level has; a kind of condition that can't be had.

    Source: Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models", config G.

    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("x", {"image": ModalitySpec((1, 8, 8))})
    >>> net = EDM2UNet(spec, channels=16, multipliers=(1, 2), num_blocks=1, attention=(4,))
    >>> net(torch.zeros(2, 1, 8, 8), torch.rand(2)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: int = 192,
        multipliers: Sequence[int] = (1, 2, 3, 4),
        num_blocks: int = 3,
        attention: Sequence[int] = (16, 8),
        head_dim: int = 64,
        dropout: float = 0.0,
        conditional: Conditional = True,
        channels_last: bool = False,
        num_outputs: int = 1,
    ):
        super().__init__()
        spec = DataSpec.of(spec)
        sizes = {"channels": channels, "num_blocks": num_blocks, "head_dim": head_dim}
        require_positive(**sizes, multipliers=min(multipliers, default=1))
        image_channels, *_ = coarsest(spec, len(multipliers), "multipliers")
        self.conditions = kinds = kinds_taken(spec, conditional)
        resolutions = heights(spec, len(multipliers), attention, reads="tokens" in kinds)
        widths = [channels * m for m in multipliers]
        dim = max(widths)
        self.fourier, self.time = MPFourier(channels), MPLayer(channels, dim)
        self.condition = condition_embedding(spec, kinds, dim, MPConditionEmbedding)
        self.tokens = token_embedding(spec, kinds, dim)
        self.image_inputs = image_inputs(spec, kinds)
        token_dim = dim if self.tokens is not None else 0

        def block(c_in: int, c_out: int, side: str, resample: str = "keep", attends: bool = False) -> MPBlock:
            return MPBlock(c_in, c_out, dim, side, resample, dropout, attends, head_dim, token_dim)

        self.conv_in = MPLayer(
            image_channels + self.image_inputs + 1, channels, 3
        )  # and a channel of ones, for a bias
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips, c = [channels], channels
        for level, width in enumerate(widths):
            if level:
                self.encoder.append(block(c, c, "encoder", "down"))
                skips.append(c)
            for _ in range(num_blocks):
                self.encoder.append(block(c, width, "encoder", attends=resolutions[level] in attention))
                c = width
                skips.append(c)
        attends = len(attention) > 0
        self.middle = nn.ModuleList([block(c, c, "decoder", attends=attends), block(c, c, "decoder")])
        for level in reversed(range(len(widths))):
            for _ in range(num_blocks + 1):
                attends = resolutions[level] in attention
                self.decoder.append(block(c + skips.pop(), widths[level], "decoder", attends=attends))
                c = widths[level]
            if level:
                self.decoder.append(block(c, c, "decoder", "up"))
        self.conv_out = MPLayer(c, num_outputs * image_channels, 3)
        self.gain_out = nn.Parameter(torch.zeros(1))  # FSDP refuses scalars
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """x_t (B, C, H, W) and t (B,) of order 1, with or without conditions -> (B, num_outputs C, H, W)."""
        dtype = self.conv_in.weight.dtype
        embedding = self.time(self.fourier(t).to(dtype))
        if self.condition is not None:
            embedding = mp_sum(embedding, self.condition(condition, len(x)))
        embedding = mp_silu(embedding)
        tokens = None
        if self.tokens is not None:
            tokens, mask = self.tokens(condition, len(x))
            tokens = unit_magnitude(tokens, dim=2), mask
        x = with_image(x.to(dtype), condition, self.image_inputs)
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        h = self.conv_in(x.contiguous(memory_format=self.memory_format))
        skips = [h]
        for block in self.encoder:
            h = block(h, embedding, tokens)
            skips.append(h)
        for block in self.middle:
            h = block(h, embedding, tokens)
        for block in self.decoder:
            h = block(h if block.resample == "up" else mp_cat(h, skips.pop()), embedding, tokens)
        return self.conv_out(h, gain=self.gain_out)
