"""A transformer's block over the next position of sequences alone."""

import torch
from torch import Tensor, nn

from genlab.networks.key_value_cache import KeyValueCache
from genlab.networks.rotary import Turns, rotate
from genlab.networks.row_product import row_product


class CausalStep:
    """What a `CausalBlock` does at a position, without dropout, given what it kept of those before.

    A position's arithmetic takes microseconds: what does not change from one to the next is looked up, and weights
    are laid out, once.

    Args:
        block: a `CausalBlock`, whose weights are taken as they are now.
        number: the block's in the cache.
        rows: samples B.
        num_steps: positions that this is for.
    """

    def __init__(self, block: nn.Module, number: int, rows: int, num_steps: int):
        attention = block.attention
        self.number, self.num_heads, self.reading = number, attention.num_heads, block.reading
        self.norm1, self.norm2 = layer_norm(block.norm1), layer_norm(block.norm2)
        layers = attention.qkv, attention.out, block.expand, block.contract
        self.qkv, self.out, self.expand, self.contract = (
            row_product(each, rows, num_steps) for each in layers
        )
        self.heads = (rows, 3, self.num_heads, -1)
        self.query = (rows * self.num_heads, 1, -1)
        self.scale = (attention.out.in_features // self.num_heads) ** -0.5

    def __call__(self, x: Tensor, cache: KeyValueCache, turns: Turns | None = None) -> Tensor:
        """(B, width) -> (B, width), perhaps written into x."""
        qkv = self.qkv(torch.layer_norm(x, *self.norm1)).view(self.heads)
        query, key, value = qkv.unbind(1)
        if turns is not None:
            query, key = rotate(qkv[:, :2], *turns).unbind(1)
        keys, values = cache.append(self.number, key, value)
        scores = torch.baddbmm(cache.mask, query.reshape(self.query), keys.mT, alpha=self.scale)
        x = self.out.add_to(x, torch.bmm(values, scores.softmax(2).mT).view(x.shape))
        if self.reading is not None:
            x += self.reading.attend_to(x[:, None], *cache.reads[self.number])[:, 0]
        return self.contract.add_to(x, self.expand.gelu(torch.layer_norm(x, *self.norm2)))


def layer_norm(norm: nn.LayerNorm) -> tuple[tuple[int, ...], Tensor | None, Tensor | None, float]:
    """What `torch.layer_norm` takes beside x."""
    return norm.normalized_shape, norm.weight, norm.bias, norm.eps
