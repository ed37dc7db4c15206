"""The decoder-only transformer over tokens."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, require, require_positive
from genlab.networks.blocks import zero_init
from genlab.networks.causal_block import CausalBlock
from genlab.networks.conditions import Conditional, condition_embedding, kinds_taken, token_embedding
from genlab.networks.key_value_cache import KeyValueCache
from genlab.networks.rotary import Turns, rotary_angles
from genlab.networks.row_product import row_product
from genlab.networks.token_network import token_grid


class TokenTransformer(nn.Module):
    """A transformer that maps tokens x_1, ..., x_{i-1} and a condition to the logits of x_i, for all i.

    Tokens on a grid go row by row. Classes and vectors are embedded and added at every position; sequences are
    read by cross-attention. All tokens are equally likely at the start.

    Args:
        spec: of the data, whose first modality are the tokens: a shape, and a vocabulary of `num_classes`.
        depth: number of blocks.
        width: of the embeddings.
        num_heads: of attention, in each block.
        mlp_ratio: width of the perceptrons' hidden layers, in `width`s.
        positions: "learned" (a vector for each), or "rotary" (of the grid's axes).
        dropout: of embeddings, and of what each part of a block adds.
        conditional: which kinds of condition are used, of label, vector and tokens: True for those that the data
            have, False for none, or names.

    Raises:
        UserError: data that are no tokens; a number that is not positive; a width that can't be shared out; a
            kind of condition that can't be had.

    Source: Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3; tokens of
    images: Esser et al. 2021, "Taming transformers for high-resolution image synthesis", section 3.2.

    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("x", {"tokens": ModalitySpec((4, 4), num_classes=32)})
    >>> TokenTransformer(spec, depth=1, width=32, num_heads=2)(torch.zeros(3, 16, dtype=torch.int64)).shape
    torch.Size([3, 16, 32])
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        depth: int = 6,
        width: int = 256,
        num_heads: int = 8,
        mlp_ratio: float = 4.0,
        positions: Literal["learned", "rotary"] = "learned",
        dropout: float = 0.0,
        conditional: Conditional = True,
    ):
        super().__init__()
        spec = DataSpec.of(spec)
        self.grid, self.num_tokens = token_grid(spec)
        require_positive(depth=depth, width=width, num_heads=num_heads)
        require(mlp_ratio * width >= 1, "mlp_ratio", mlp_ratio, "a positive number", "4 is usual")
        ok = width % (2 * num_heads) == 0
        require(ok, "num_heads", num_heads, f"a divisor of half the width, {width} / 2", "change either")
        expected = "'learned' or 'rotary'"
        require(positions in ("learned", "rotary"), "positions", positions, expected, "choose one of them")
        self.num_heads, length = num_heads, math.prod(self.grid)
        self.conditions = kinds = kinds_taken(spec, conditional, able=("label", "vector", "tokens"))
        self.embedding = nn.Embedding(self.num_tokens, width)
        self.first = nn.Parameter(0.02 * torch.randn(width))
        self.positions = nn.Parameter(0.02 * torch.randn(length, width)) if positions == "learned" else None
        if positions == "rotary":
            angles = rotary_angles(self.grid, width // num_heads)
            self.register_buffer("cosines", angles.cos(), persistent=False)
            self.register_buffer("sines", angles.sin(), persistent=False)
        self.condition = condition_embedding(spec, kinds, width)
        self.tokens = token_embedding(spec, kinds, width)
        self.dropout = nn.Dropout(dropout)
        token_dim = width if self.tokens is not None else 0
        self.blocks = nn.ModuleList(
            CausalBlock(width, num_heads, mlp_ratio, token_dim, dropout) for _ in range(depth)
        )
        self.norm_out = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.num_tokens)
        self._initialise(depth)

    def _initialise(self, depth: int) -> None:
        """As published: normal weights of 0.02, smaller by sqrt(2 depth) at the residuals' ends."""
        for name, layer in self.named_modules():
            if isinstance(layer, (nn.Linear, nn.Embedding)):
                ends = name.endswith(("attention.out", "contract"))
                nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * depth) if ends else 0.02)
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        for block in self.blocks:
            if block.reading is not None:
                zero_init(block.reading.out)
        zero_init(self.head)

    def forward(self, tokens: Tensor, condition: Condition | None = None) -> Tensor:
        """Tokens (B, l) or (B, *grid) -> logits (B, l, V), of which those at i depend on tokens before i alone."""
        tokens = tokens.flatten(1)
        batch, length = tokens.shape
        first = self.first.expand(batch, 1, -1)
        x = torch.cat([first, self.embedding(tokens[:, : length - 1])], dim=1)
        if self.positions is not None:
            x = x + self.positions[:length]
        if self.condition is not None:
            x = x + self.condition(condition, batch)[:, None]
        x, turns = self.dropout(x), self._turns(slice(length))
        read = None if self.tokens is None else self.tokens(condition, batch)
        for block in self.blocks:
            x = block(x, turns, read)
        return self.head(self.norm_out(x))

    @torch.no_grad()
    def start(self, num: int, condition: Condition | None = None) -> KeyValueCache:
        """An empty cache for `num` samples; what conditions come to is computed once, and weights are laid out once.

        Here and in `step` all is in the weights' own precision, also under autocast, which would cast them each time.
        """
        length, width = math.prod(self.grid), self.first.shape[0]
        with self._own_precision():
            cache = KeyValueCache(
                len(self.blocks), num, self.num_heads, length, width // self.num_heads, self.head.weight
            )
            cache.steps = [block.step(i, num, length) for i, block in enumerate(self.blocks)]
            cache.head = row_product(self.head, num, length)
            if self.condition is not None:
                cache.embedding = self.condition(condition, num)
            if self.tokens is not None:
                tokens, mask = self.tokens(condition, num)
                cache.reads = [(*block.reading.keys_values(tokens), mask) for block in self.blocks]
        return cache

    @torch.no_grad()
    def step(self, tokens: Tensor | None, cache: KeyValueCache) -> Tensor:
        """Logits (B, V) of the next position, given the last one's tokens (B,), without gradients.

        Raises:
            UserError: all positions are done.
        """
        i = cache.length
        require(
            i < cache.capacity, "cache", f"{i} positions", f"fewer than {cache.capacity}", "start another one"
        )
        with self._own_precision():
            return self._step(tokens, cache)

    def _step(self, tokens: Tensor | None, cache: KeyValueCache) -> Tensor:
        cache.make_room()
        # Steps may write into x, so that x is a tensor of its own.
        x = self.first.repeat(cache.num, 1) if tokens is None else self.embedding(tokens)
        if self.positions is not None:
            x += self.positions[cache.length]
        if cache.embedding is not None:
            x += cache.embedding
        turns = self._turns(cache.length)
        for step in cache.steps:
            x = step(x, cache, turns)
        cache.length += 1
        return cache.head(self.norm_out(x))

    def _own_precision(self) -> AbstractContextManager:
        kind = self.first.device.type
        return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()

    def _turns(self, positions: slice | int) -> Turns | None:
        return None if self.positions is not None else (self.cosines[positions], self.sines[positions])
