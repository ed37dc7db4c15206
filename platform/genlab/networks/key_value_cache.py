"""Keys and values of the positions of a sequence so far."""

import math
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
    memory, reading takes three times as long.

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
        self.memory = [like.new_empty(2, num, num_heads, 0, head_dim) for _ in range(blocks)]
        # For all positions each, and one more than there are blocks: what grows moves there and leaves its own.
        self._grounds = deque(
            like.new_empty(2 * num * num_heads * length * head_dim) for _ in range(blocks + 1)
        )
        self.mask = like.new_zeros(1, 1, 0)
        self._slots: list[Tensor] = []
        self._pairs: list[tuple[Tensor, Tensor]] = []
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
            self.memory = [self._grown(memory, more) for memory in self.memory]
            # Views, once: where a position is written, (n, B, 2, H, d), and what is read.
            self._slots = [memory.permute(3, 1, 0, 2, 4) for memory in self.memory]
            flat = (memory.flatten(1, 2) for memory in self.memory)
            self._pairs = [(keys.transpose(1, 2), values) for keys, values in flat]
        self.mask[..., self.length] = 0

    def append(self, block: int, keys_values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the next position's (B, 2, H, d); keys (B H, d, n) and values (B H, n, d) of all positions."""
        self._slots[block][self.length].copy_(keys_values)
        return self._pairs[block]

    def _grown(self, memory: Tensor, more: int) -> Tensor:
        """A block's (2, B, H, n, d) with zeros for more positions, on the ground that the block before it has left."""
        *outer, held, head_dim = memory.shape
        shape = (*outer, held + more, head_dim)
        larger = self._grounds[0][: math.prod(shape)].view(shape)
        self._grounds.rotate(-1)
        larger[..., :held, :] = memory
        # Zeros, not what lay there: a closed position's value is multiplied by 0.
        larger[..., held:, :] = 0
        return larger
