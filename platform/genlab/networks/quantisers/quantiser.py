"""The interface of all quantisers: maps in, rows inside."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import Codebooks, require

CHUNK_VALUES = 2**19  # scores that are held at once: they stay in a core's cache


class Quantised(NamedTuple):
    """What a quantiser makes of features z (B, D, *grid), and loss terms per sample, (B,), without weights.

    Args:
        z_q: codes in z's shape; their gradient goes to z as it is (straight through).
        indices: of the codes, (B, *grid) int64, or (B, *grid, depth) where a position has several.
        commitment: |z - sg(z_q)|^2 / D, mean over positions: draws z to its codes.
        codebook: |sg(z) - z_q|^2 likewise: draws codes to z; zero where they learn otherwise or not at all.
        entropy: nats that are to fall for all codes to be used, and each with certainty; zero where there are none.

    Source: van den Oord et al. 2017, "Neural discrete representation learning", eq. 3.
    """

    z_q: Tensor
    indices: Tensor
    commitment: Tensor
    codebook: Tensor
    entropy: Tensor


class MapQuantiser(nn.Module, ABC):
    """Turns feature maps (B, D, *grid) into indices of codes, and these into maps of the same shape.

    Attributes:
        dim: D.
        num_codes: values that an index can take: 0..num_codes-1.
    """

    dim: int
    num_codes: int

    @abstractmethod
    def forward(self, z: Tensor) -> Quantised:
        """Quantise features (B, D, *grid)."""

    @abstractmethod
    def encode(self, z: Tensor) -> Tensor:
        """Indices (B, *codebooks(grid).shape) of features (B, D, *grid), without gradients; nothing is learned."""

    @abstractmethod
    def decode(self, indices: Tensor, grid: Sequence[int] = ()) -> Tensor:
        """The map (B, D, *grid) of indices.

        Args:
            indices: as `encode` gives them.
            grid: of the features, for a quantiser whose indices don't show it.
        """

    @abstractmethod
    def codebooks(self, grid: Sequence[int]) -> Codebooks:
        """What a sample's indices choose from, of features on this grid."""


class Quantiser(MapQuantiser):
    """Replaces each position's D features by one of finitely many codes.

    Attributes:
        depth: indices per position.
        bits: per position, of all its indices.
    """

    depth: int = 1

    @property
    def bits(self) -> float:
        return self.depth * math.log2(self.num_codes)

    @abstractmethod
    def quantise(self, rows: Tensor) -> Quantised:
        """Of rows (B, N, D); indices are (B, N), or (B, N, depth)."""

    @abstractmethod
    def nearest(self, rows: Tensor) -> Tensor:
        """Indices of rows (..., D) without gradients, (...,), or (..., depth)."""

    @abstractmethod
    def codes(self, indices: Tensor) -> Tensor:
        """Codes (..., D) of indices as `nearest` gives them."""

    def forward(self, z: Tensor) -> Quantised:
        rows = self._rows(z)
        answer = self.quantise(rows)
        z_q = answer.z_q.transpose(1, 2).unflatten(2, z.shape[2:])
        return answer._replace(z_q=z_q, indices=answer.indices.unflatten(1, z.shape[2:]))

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        return self.nearest(self._rows(z)).unflatten(1, z.shape[2:])

    def decode(self, indices: Tensor, grid: Sequence[int] = ()) -> Tensor:
        return self.codes(indices).movedim(-1, 1)

    def codebooks(self, grid: Sequence[int]) -> Codebooks:
        return Codebooks(self.num_codes, (tuple(grid),) * self.depth)

    def _rows(self, z: Tensor) -> Tensor:
        ok = z.ndim >= 3 and z.shape[1] == self.dim
        require(
            ok, "z", tuple(z.shape), f"(B, {self.dim}, *grid)", "make as many channels as the quantiser takes"
        )
        return z.flatten(2).transpose(1, 2)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(z: Tensor, z_q: Tensor) -> Tensor:
        return z_q.view_as(z_q)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(z: Tensor, z_q: Tensor) -> Tensor:
    """z_q, bit for bit, whose gradient goes to z as it is: z + sg(z_q - z) without its rounding.

    Source: Bengio et al. 2013, "Estimating or propagating gradients through stochastic neurons".

    >>> z = torch.tensor([0.3, -0.2], requires_grad=True)
    >>> (2 * straight_through(z, z.round())).sum().backward()
    >>> z.grad
    tensor([2., 2.])
    """
    return _StraightThrough.apply(z, z_q.detach())


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """|x - y|^2 / D per sample, mean over positions: (B, N, D) -> (B,).

    By channel, as a reconstruction's loss is by value: summed, it outweighs this while codes are not yet of use,
    and features shrink to what all images have in common.
    """
    return functional.mse_loss(x, y, reduction="none").mean((1, 2))


@torch.no_grad()
def nearest_codes(rows: Tensor, codebook: Tensor) -> Tensor:
    """Numbers of the nearest codes by Euclid's distance: rows (N, D), codebook (K, D) -> (N,) int64.

    argmin_k |z - e_k|^2 = argmax_k (z e_k - |e_k|^2 / 2): one matrix product, some rows at a time.

    >>> nearest_codes(torch.tensor([[0.9, 0.1], [-2.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).tolist()
    [0, 1]
    """
    with torch.autocast(
        rows.device.type, enabled=False
    ):  # distances of half precision would mix near codes up
        codebook = codebook.float() if codebook.dtype in (torch.bfloat16, torch.float16) else codebook
        half_norms, transposed = -0.5 * codebook.square().sum(1), codebook.T
        size = max(1, CHUNK_VALUES // len(codebook)) if rows.device.type == "cpu" else max(1, len(rows))
        parts = rows.to(codebook.dtype).split(size)
        return torch.cat([torch.addmm(half_norms, part, transposed).argmax(1) for part in parts])
