"""Keys and values of the positions of a sequence so far."""

from collections import deque
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from genlab.networks.row_product import RowProduct

GROWTH = 32  # positions at a time


class KeyValueCache:
    """Keys and values of the positions so far, densely in memory that grows with them.

    What is read is a whole number of `GROWTH` positions, of which a mask closes those to come: in parts of a larger
    memory, reading takes three times as long. A product with a single row takes two thirds of the time where the
    matrix's rows are what it sums over: positions are the rows of keys, and the columns of values.

    Args:
        blocks: number of blocks.
        num: samples B.
        num_heads, length, head_dim: of the network; `length` positions fit.
        like: a tensor of the network's type and device.

    Attributes:
        length: positions that are held.
        mask: (1, 1, n), 0 for positions that are held or being written, else -inf.
        steps: of each block, over the next position.
        head: the last layer's product.
        embedding: of the conditions, (B, width), or None.
        reads: per block, keys, values and mask of the tokens that are read; empty without these.
    """

    def __init__(self, blocks: int, num: int, num_heads: int, length: int, head_dim: int, like: Tensor):
        self.num, self.capacity, self.length = num, length, 0
        self._shape = num, num_heads
        rows = num * num_heads
        self._pairs = [(like.new_empty(rows, 0, head_dim), like.new_empty(rows, head_dim, 0))] * blocks
        # For all positions each, and one more than there are blocks: what grows moves there and leaves its own.
        size = num * num_heads * length * head_dim
        self._grounds = deque(like.new_empty(2, size) for _ in range(blocks + 1))
        self.mask = like.new_zeros(1, 1, 0)
        self._slots: list[tuple[Tensor, Tensor]] = []
        self.steps: list[Any] = []
        self.head: RowProduct | None = None
        self.embedding: Tensor | None = None
        self.reads: list[tuple[Tensor, Tensor, Tensor | None]] = []

    def make_room(self) -> None:
        """Room for the next position in each block, which the mask leaves open."""
        held = self.mask.shape[2]
        if self.length == held:
            more = min(GROWTH, self.capacity - held)
            self.mask = functional.pad(self.mask, (0, more), value=-torch.inf)
            self._pairs = [self._grown(*pair, more) for pair in self._pairs]
            self._slots = [self._places(*pair) for pair in self._pairs]
        self.mask[..., self.length] = 0

    def append(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the next position's (B, H, d) each; keys (B H, n, d) and values (B H, d, n) of all positions."""
        for place, x in zip(self._slots[block], (keys, values), strict=True):
            place[self.length].copy_(x)
        return self._pairs[block]

    def _grown(self, keys: Tensor, values: Tensor, more: int) -> tuple[Tensor, Tensor]:
        """A block's, with zeros for more positions, on the ground that the block before it has left."""
        rows, held, head_dim = keys.shape
        ground, size = self._grounds[0], rows * (held + more) * head_dim
        self._grounds.rotate(-1)
        larger = (
            ground[0, :size].view(rows, held + more, head_dim),
            ground[1, :size].view(rows, head_dim, held + more),
        )
        for old, new, dim in zip((keys, values), larger, (1, 2), strict=True):
            new.narrow(dim, 0, held).copy_(old)
            # Zeros, not what lay there: a closed position's value is multiplied by 0.
            new.narrow(dim, held, more).zero_()
        return larger

    def _places(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Where a position is written, (n, B, H, d) each."""
        num, heads = self._shape
        keys, values = keys.unflatten(0, (num, heads)), values.unflatten(0, (num, heads))
        return keys.permute(2, 0, 1, 3), values.permute(3, 0, 1, 2)
