"""The diffusion transformer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import Condition, DataSpec, require, require_positive
from genlab.networks.blocks import zero_init
from genlab.networks.conditions import (
    Conditional,
    condition_embedding,
    image_inputs,
    kinds_taken,
    token_embedding,
    with_image,
)
from genlab.networks.dit_block import DiTBlock, modulate
from genlab.networks.embeddings import TimeEmbedding, sinusoids


def grid_positions(height: int, width: int, dim: int) -> Tensor:
    """Sinusoids of the rows, then of the columns, of a grid: (height * width, dim), row by row.

    Source: Peebles and Xie 2023, in their code; Vaswani et al. 2017, section 3.5.

    >>> grid_positions(2, 3, 8).shape
    torch.Size([6, 8])
    """
    rows, columns = (sinusoids(torch.arange(n), dim // 2) for n in (height, width))
    return torch.cat([rows.repeat_interleave(width, 0), columns.repeat(height, 1)], dim=1)


class DiT(nn.Module):
    """A transformer over patches that maps (x_t, t, condition) to an image of x_t's shape.

    The published sizes, as (depth, width, num_heads): S (12, 384, 6), B (12, 768, 12), L (24, 1024, 16),
    XL (28, 1152, 16), with patches of 2, 4 or 8. Images may have any aspect. All is zero at the start.

    Args:
        spec: of the data: images (C, H, W), and what they can be conditioned on.
        depth: number of blocks.
        width: of the patches' embeddings, a multiple of 4.
        num_heads: of attention, in each block.
        patch_size: side of the square patches.
        mlp_ratio: width of the perceptrons' hidden layers, in `width`s.
        conditional: which kinds of condition are used: True for those that the data have, as modalities `label`,
            `vector`, `tokens` (by cross-attention) and `low_resolution` (an image, as further channels of the
            input); False for none; or names, of label, vector, tokens and image.
        num_outputs: images that come out, of C channels each; 2 where variances are learned.

    Raises:
        UserError: a size below 1; data that are no images, or that the patches don't tile; a width that can't be
            shared out; a kind of condition that can't be had.

    Source: Peebles and Xie 2023, "Scalable diffusion models with transformers", section 3.2, table 1.

    >>> from genlab.core import ModalitySpec
    >>> net = DiT(DataSpec("x", {"image": ModalitySpec((1, 8, 12))}), depth=1, width=32, num_heads=2)
    >>> net(torch.zeros(2, 1, 8, 12), torch.rand(2)).shape
    torch.Size([2, 1, 8, 12])
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        depth: int = 12,
        width: int = 384,
        num_heads: int = 6,
        patch_size: int = 2,
        mlp_ratio: float = 4.0,
        conditional: Conditional = True,
        num_outputs: int = 1,
    ):
        super().__init__()
        spec = DataSpec.of(spec)
        require_positive(depth=depth, width=width, num_heads=num_heads, patch_size=patch_size)
        self.grid = patches(spec, patch_size)
        require(width % 4 == 0, "width", width, "a multiple of 4", "rows and columns share it in two each")
        expected = f"a divisor of width {width}"
        require(width % num_heads == 0, "num_heads", num_heads, expected, "change either")
        channels = spec.shape[0]
        self.patch_size = patch_size
        self.conditions = kinds = kinds_taken(spec, conditional)
        self.time = TimeEmbedding(width, num_frequencies=128)
        self.condition = condition_embedding(spec, kinds, width)
        self.tokens = token_embedding(spec, kinds, width)
        self.image_inputs = image_inputs(spec, kinds)
        self.patch = nn.Conv2d(channels + self.image_inputs, width, patch_size, stride=patch_size)
        self.register_buffer("positions", grid_positions(*self.grid, width), persistent=False)
        token_dim = width if self.tokens is not None else 0
        self.blocks = nn.ModuleList(DiTBlock(width, num_heads, mlp_ratio, token_dim) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(width, 2 * width)
        self.linear_out = nn.Linear(width, patch_size**2 * num_outputs * channels)
        self._initialise()

    def _initialise(self) -> None:
        """As published: Xavier's uniform weights but for the embeddings', and zero at every residual's end."""
        for name, layer in self.named_modules():
            embeds = isinstance(layer, nn.Embedding) or name.startswith(("time.", "condition."))
            if isinstance(layer, (nn.Linear, nn.Conv2d, nn.Embedding)):
                rows = layer.weight.flatten(1)  # patches are mapped linearly, too
                nn.init.normal_(rows, std=0.02) if embeds else nn.init.xavier_uniform_(rows)
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                nn.init.zeros_(layer.bias)
        for block in self.blocks:
            zero_init(block.modulation)
            if block.reading is not None:
                zero_init(block.reading.out)
        zero_init(self.modulation)
        zero_init(self.linear_out)

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """x_t (B, C, H, W) and t (B,) in [0, 1], with or without conditions -> (B, num_outputs C, H, W)."""
        embedding = self.time(t)
        if self.condition is not None:
            embedding = embedding + self.condition(condition, len(x))
        embedding = functional.silu(embedding)
        tokens = None if self.tokens is None else self.tokens(condition, len(x))
        x = with_image(x.to(self.patch.bias.dtype), condition, self.image_inputs)
        h = self.patch(x).flatten(2).transpose(1, 2) + self.positions.to(x.dtype)
        for block in self.blocks:
            h = block(h, embedding, tokens)
        h = self.linear_out(modulate(self.norm_out(h), *self.modulation(embedding).chunk(2, dim=1)))
        h = h.unflatten(2, (self.patch_size, self.patch_size, -1)).unflatten(1, self.grid)
        return h.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)  # (B, C, rows p, columns p)


def patches(spec: DataSpec, patch_size: int) -> tuple[int, int]:
    """Rows and columns of square patches that tile the data.

    Raises:
        UserError: a size below 1; data that are no images, or that the patches don't tile.
    """
    require(len(spec.shape) == 3, "network", f"data of shape {spec.shape}", "images (C, H, W)", "choose MLP")
    _, height, width = spec.shape
    tiles = patch_size > 0 and height % patch_size == 0 and width % patch_size == 0
    expected = f"a divisor of both sides of {height}x{width} images"
    require(tiles, "patch_size", patch_size, expected, "change it, or resize the images")
    return height // patch_size, width // patch_size
