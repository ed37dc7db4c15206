"""The gated PixelCNN over grids of tokens."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import Condition, DataSpec, require, require_positive
from genlab.networks.blocks import zero_init
from genlab.networks.conditions import Conditional, condition_embedding, kinds_taken
from genlab.networks.token_network import token_grid


class GatedLayer(nn.Module):
    """One layer of the two stacks: the vertical one sees rows above, the horizontal one what is left of it, too.

    v' = gate(W_v v);  h' = h + W_1 gate(W_h h + shift(W_2 W_v v)),  gate(a, b) = tanh(a) sigmoid(b)

    Convolutions see only what they may: their kernels end at the position, or before it, rather than being masked,
    and `shift` moves rows down by one.

    Args:
        channels: of both stacks.
        kernel_size: n, odd: the vertical kernel has (n + 1) / 2 rows of n columns.
        first: whether the horizontal kernel ends before the position, and nothing is added to h.
        dropout: of the horizontal gate.

    Source: van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders", section 2.2-2.3,
    fig. 2.
    """

    def __init__(self, channels: int, kernel_size: int, first: bool, dropout: float):
        super().__init__()
        self.reach, self.first = kernel_size // 2, first
        self.vertical = nn.Conv2d(channels, 2 * channels, (self.reach + 1, kernel_size))
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, self.reach + (not first)))
        self.down = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, v: Tensor, h: Tensor, condition: Tensor | float) -> tuple[Tensor, Tensor]:
        """Both stacks (B, C, H, W); what is added to their gates, (B, 2 C, 1, 1)."""
        n = self.reach
        above = self.vertical(functional.pad(v, (n, n, n, 0)))
        left = functional.pad(h, (n, 0, 0, 0))
        if self.first:
            left = left[..., :-1]
        shifted = functional.pad(above, (0, 0, 1, 0))[:, :, :-1]
        gated = gate(self.horizontal(left) + self.down(shifted) + condition)
        out = self.out(self.dropout(gated))
        return gate(above + condition), out if self.first else h + out


def gate(x: Tensor) -> Tensor:
    """tanh(a) sigmoid(b) of channels (a, b): (B, 2 C, H, W) -> (B, C, H, W)."""
    a, b = x.chunk(2, dim=1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedPixelCNN(nn.Module):
    """Two stacks of gated convolutions that map a grid of tokens to each one's logits, from those before it alone.

    Before it are all rows above and what is left of it: there is no blind spot. Classes and vectors are added to
    the gates of every layer.

    Args:
        spec: of the data, whose first modality are tokens on a grid (H, W) with a vocabulary of `num_classes`.
        channels: of both stacks.
        num_layers: of them, with the first.
        kernel_size: odd, 3 at least.
        dropout: of the horizontal gates.
        conditional: which kinds of condition are used, of label and vector: True for those that the data have.

    Raises:
        UserError: data that are no tokens on a grid of two axes; a number that is out of range.

    Source: van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders", section 2.

    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("x", {"tokens": ModalitySpec((4, 4), num_classes=32)})
    >>> GatedPixelCNN(spec, channels=8, num_layers=2)(torch.zeros(3, 16, dtype=torch.int64)).shape
    torch.Size([3, 16, 32])
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        channels: int = 64,
        num_layers: int = 8,
        kernel_size: int = 5,
        dropout: float = 0.0,
        conditional: Conditional = True,
    ):
        super().__init__()
        spec = DataSpec.of(spec)
        self.grid, self.num_tokens = token_grid(spec)
        require(
            len(self.grid) == 2,
            "network",
            f"tokens of shape {self.grid}",
            "(H, W)",
            "choose TokenTransformer",
        )
        require_positive(channels=channels, num_layers=num_layers)
        odd = kernel_size >= 3 and kernel_size % 2 == 1
        require(odd, "kernel_size", kernel_size, "an odd number from 3 up", "use 3 or 5")
        self.conditions = kinds = kinds_taken(spec, conditional, able=("label", "vector"))
        self.embedding = nn.Embedding(self.num_tokens, channels)
        self.condition = condition_embedding(spec, kinds, 2 * channels * num_layers)
        self.layers = nn.ModuleList(
            GatedLayer(channels, kernel_size, number == 0, dropout) for number in range(num_layers)
        )
        self.out = nn.Conv2d(channels, channels, 1)
        self.head = zero_init(nn.Conv2d(channels, self.num_tokens, 1))

    def forward(self, tokens: Tensor, condition: Condition | None = None) -> Tensor:
        """Tokens (B, l) or (B, H, W) -> logits (B, l, V), of which those at i depend on tokens before i alone."""
        added = None if self.condition is None else self.condition(condition, len(tokens))
        tokens = tokens.flatten(1)
        return self._logits(tokens, added).flatten(2).transpose(1, 2)[:, : tokens.shape[1]]

    def start(self, num: int, condition: Condition | None = None) -> "Canvas":
        """An empty canvas for `num` samples."""
        return Canvas(num, None if self.condition is None else self.condition(condition, num))

    @torch.no_grad()
    def step(self, tokens: Tensor | None, cache: "Canvas") -> Tensor:
        """Logits (B, V) of the next position, given the last one's tokens (B,), without gradients."""
        if tokens is not None:
            cache.tokens.append(tokens)
        device = self.head.weight.device
        unknown = torch.zeros(cache.num, dtype=torch.int64, device=device)
        canvas = torch.stack([*cache.tokens, unknown], dim=1)
        # Rows that are out of reach of all layers, and those below, change nothing.
        i, width = len(cache.tokens), self.grid[1]
        reach = sum(layer.reach for layer in self.layers) + 1
        top = max(0, i // width - reach)
        return self._logits(canvas[:, top * width :], cache.condition)[:, :, -1, i % width]

    def _logits(self, tokens: Tensor, condition: Tensor | None) -> Tensor:
        """(B, l) -> (B, V, rows, W), of as many rows as the l tokens begin."""
        width = self.grid[1]
        tokens = functional.pad(tokens, (0, -tokens.shape[1] % width)).unflatten(1, (-1, width))
        x = self.embedding(tokens).movedim(-1, 1)
        added = [0.0] * len(self.layers)
        if condition is not None:
            added = condition[..., None, None].chunk(len(self.layers), dim=1)
        v = h = x
        for layer, own in zip(self.layers, added, strict=True):
            v, h = layer(v, h, own)
        return self.head(functional.relu(self.out(functional.relu(h))))


class Canvas:
    """What a PixelCNN has drawn so far, and its embedded condition."""

    def __init__(self, num: int, condition: Tensor | None):
        self.num, self.condition = num, condition
        self.tokens: list[Tensor] = []
