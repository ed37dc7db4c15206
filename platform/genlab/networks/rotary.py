"""Rotary positions: queries and keys are turned, so that their product knows how far apart they are."""

import torch
from torch import Tensor

Turns = tuple[Tensor, Tensor]  # cosines and sines of rotary positions, (L, d / 2)


def rotary_angles(grid: tuple[int, ...], head_dim: int, max_period: float = 10_000.0) -> Tensor:
    """Angles (L, head_dim / 2) of a grid's positions, row by row; the axes take pairs of channels in turns.

    theta_{i, k} = p_a(i) max_period^(-floor(k / A) / (head_dim / 2 A)),  a = k mod A,  of A axes

    Source: Su et al. 2021, "RoFormer", eq. 15; axes: Heo et al. 2024, "Rotary position embedding for vision
    transformer", eq. 10.

    >>> rotary_angles((2, 3), 8).shape
    torch.Size([6, 4])
    """
    pairs, axes = torch.arange(head_dim // 2), len(grid)
    frequencies = max_period ** (-(pairs // axes) * 2 * axes / head_dim)
    positions = torch.cartesian_prod(*(torch.arange(n) for n in grid)).view(-1, axes)
    return positions[:, pairs % axes] * frequencies


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (x_k, x_{k + d/2}) of x (..., d) by an angle whose cosine and sine are (..., d / 2)."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
