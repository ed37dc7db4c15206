"""The U-Net of diffusion models."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import Condition, DataSpec, require_positive
from genlab.networks.blocks import (
    Downsample,
    ResidualBlock,
    Upsample,
    coarsest,
    group_norm,
    heights,
    zero_init,
)
from genlab.networks.conditions import (
    Conditional,
    condition_embedding,
    image_inputs,
    kinds_taken,
    token_embedding,
    with_image,
)
from genlab.networks.embeddings import TimeEmbedding
from genlab.networks.norm_silu import norm_silu
from genlab.networks.stage import Stage


class UNet(nn.Module):
    """A U-Net that maps (x_t, t, condition) to an image of x_t's shape.

    Level l works at resolution H / 2^l with channels * multipliers[l] channels and `num_blocks` residual
    blocks on the way down, one more on the way up, where each takes one skip of the way down.

    Args:
        spec: of the data: images (C, H, W), and how many classes there are.
        channels: of the first level.
        multipliers: of `channels`, one per level; H and W are halved between levels.
        num_blocks: residual blocks per level.
        attention: resolutions (heights) at which blocks are followed by attention, to all positions and to the
            condition's tokens; where there are any, the middle has one too, whatever its resolution. () is for
            none.
        head_dim: channels per attention head.
        dropout: probability, in the residual blocks.
        conditional: which kinds of condition are used: True for those that the data have, as modalities `label`,
            `vector`, `tokens` (by cross-attention) and `low_resolution` (an image, as further channels of the
            input); False for none; or names, of label, vector, tokens and image.
        num_outputs: images that come out, of C channels each; 2 where variances are learned.
        channels_last: keep feature maps in that memory format, the faster one on GPUs under mixed precision.

    Raises:
        UserError: a size below 1; data that are no images, or that can't be halved as often as there are levels;
            attention at a resolution that no level has; a kind of condition that can't be had.

    Source: Ho et al. 2020, appendix B; Dhariwal and Nichol 2021, section 3.

    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("x", {"image": ModalitySpec((1, 8, 8))})
    >>> net = UNet(spec, channels=16, multipliers=(1, 2), attention=(4,))
    >>> net(torch.zeros(2, 1, 8, 8), torch.rand(2)).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        num_blocks: int = 2,
        attention: Sequence[int] = (16,),
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
        dim = 4 * channels
        self.time = TimeEmbedding(dim, num_frequencies=channels // 2)
        self.conditions = kinds = kinds_taken(spec, conditional)
        self.condition = condition_embedding(spec, kinds, dim)
        self.tokens = token_embedding(spec, kinds, dim)
        self.image_inputs = image_inputs(spec, kinds)
        resolutions = heights(spec, len(multipliers), attention, reads="tokens" in kinds)

        def stage(c_in: int, c_out: int, attends: bool) -> Stage:
            return Stage(c_in, c_out, dim, dropout, attends, head_dim, dim if "tokens" in kinds else 0)

        widths = [channels * m for m in multipliers]
        self.conv_in = nn.Conv2d(image_channels + self.image_inputs, channels, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [channels], channels
        for level, (width, resolution) in enumerate(zip(widths, resolutions, strict=True)):
            if level:
                self.down.append(Downsample(c))
                skips.append(c)
            for _ in range(num_blocks):
                self.down.append(stage(c, width, resolution in attention))
                c = width
                skips.append(c)
        self.middle = nn.ModuleList([stage(c, c, len(attention) > 0), ResidualBlock(c, c, dim, dropout)])
        for level in reversed(range(len(widths))):
            for _ in range(num_blocks + 1):
                attends = resolutions[level] in attention
                self.up.append(stage(c + skips.pop(), widths[level], attends))
                c = widths[level]
            if level:
                self.up.append(Upsample(c))
        self.norm_out = group_norm(c)
        self.conv_out = zero_init(nn.Conv2d(c, num_outputs * image_channels, 3, padding=1))
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """x_t (B, C, H, W) and t (B,) in [0, 1], with or without conditions -> (B, num_outputs C, H, W)."""
        embedding = self.time(t)
        if self.condition is not None:
            embedding = embedding + self.condition(condition, len(x))
        embedding = functional.silu(embedding)
        tokens = None if self.tokens is None else self.tokens(condition, len(x))
        x = with_image(x.to(self.conv_in.bias.dtype), condition, self.image_inputs)
        h = self.conv_in(x.contiguous(memory_format=self.memory_format))
        skips = [h]
        for layer in self.down:
            h = layer(h) if isinstance(layer, Downsample) else layer(h, embedding, tokens)
            skips.append(h)
        stage, block = self.middle
        h = block(stage(h, embedding, tokens), embedding)
        for layer in self.up:
            if isinstance(layer, Upsample):
                h = layer(h)
            else:
                h = layer(torch.cat([h, skips.pop()], dim=1), embedding, tokens)
        return self.conv_out(norm_silu(h, self.norm_out))
