"""Quantisation at several resolutions: the finer levels see the codes of the coarser ones."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import Codebooks, require
from genlab.networks.blocks import Downsample, Upsample
from genlab.networks.convolutional import PreActivationBlock, norm_silu_layers
from genlab.networks.quantisers.quantiser import MapQuantiser, Quantised, Quantiser

Quantise = Callable[[Quantiser, Tensor], tuple[Any, Tensor]]


class HierarchicalQuantiser(MapQuantiser):
    """Codes e_1, ..., e_M of a map h_M and its reductions h_{m-1} = down(h_m), each half as wide, coarse to fine.

    e_m = q_m(W_m [h_m, up(s_{m-1})]),  s_m = up(s_{m-1}) + V_m e_m,  z_q = s_M

    A sample's indices are one sequence, those of the coarsest level first. Loss terms are the levels' sums.

    Args:
        quantisers: q_1..q_M, coarse to fine, of equal number of codes, of one index per position each.
        channels: of the map, and of all maps between.
        num_blocks: residual blocks of each `down` and `up`.
        dropout: in these.

    Raises:
        UserError: there are fewer than two levels, or they differ; a number is out of range; features whose
            sides can't be halved that often.

    Source: Razavi et al. 2019, "Generating diverse high-fidelity images with VQ-VAE-2", section 3.1, algorithm 1;
    where the paper joins the levels' codes as channels, here their embeddings are added.

    >>> from genlab.networks import VectorQuantiser
    >>> quantiser = HierarchicalQuantiser([VectorQuantiser(4, 16) for _ in range(2)], channels=8)
    >>> answer = quantiser(torch.randn(3, 8, 4, 4))
    >>> answer.z_q.shape, answer.indices.shape, quantiser.codebooks((4, 4)).grids
    (torch.Size([3, 8, 4, 4]), torch.Size([3, 20]), ((2, 2), (4, 4)))
    """

    def __init__(
        self, quantisers: Sequence[Quantiser], channels: int, num_blocks: int = 1, dropout: float = 0.0
    ):
        super().__init__()
        num = len(quantisers)
        require(num >= 2, "quantisers", f"{num}", "two levels at least", "give for example two")
        kinds = {(q.num_codes, q.depth) for q in quantisers}
        alike = len(kinds) == 1 and quantisers[0].depth == 1
        expected = "equal num_codes, and depth 1"
        require(alike, "quantisers", f"(num_codes, depth) {sorted(kinds)}", expected, "make them alike")
        require(channels >= 1, "channels", channels, "a positive integer", "raise it")
        require(num_blocks >= 0, "num_blocks", num_blocks, "a non-negative integer", "use 1")
        self.dim, self.num_codes = channels, quantisers[0].num_codes
        self.quantisers = nn.ModuleList(quantisers)

        def between(change: type[nn.Module]) -> nn.ModuleList:
            blocks = [
                [PreActivationBlock(channels, dropout) for _ in range(num_blocks)] for _ in range(num - 1)
            ]
            return nn.ModuleList(nn.Sequential(change(channels), *own) for own in blocks)

        self.down, self.up = between(Downsample), between(Upsample)
        self.into = nn.ModuleList(
            nn.Sequential(
                *norm_silu_layers(channels * (1 + (m > 0))), nn.Conv2d(channels * (1 + (m > 0)), q.dim, 1)
            )
            for m, q in enumerate(quantisers)
        )
        self.out = nn.ModuleList(nn.Conv2d(q.dim, channels, 1) for q in quantisers)

    def codebooks(self, grid: Sequence[int]) -> Codebooks:
        num = len(self.quantisers)
        ok = all(side % 2 ** (num - 1) == 0 for side in grid)
        expected = f"sides that can be halved {num - 1} times, for {num} levels"
        require(ok, "quantiser", f"features on a grid {tuple(grid)}", expected, "use fewer levels")
        grids = tuple(tuple(side >> m for side in grid) for m in reversed(range(num)))
        return Codebooks(self.num_codes, grids)

    def forward(self, z: Tensor) -> Quantised:
        def quantise(quantiser: Quantiser, features: Tensor) -> tuple[Quantised, Tensor]:
            answer = quantiser(features)
            return answer, answer.z_q

        answers, s = self._walk(z, quantise)
        indices = torch.cat([a.indices.flatten(1) for a in answers], dim=1)
        return Quantised(s, indices, *(sum(term) for term in list(zip(*answers, strict=True))[2:]))

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        def quantise(quantiser: Quantiser, features: Tensor) -> tuple[Tensor, Tensor]:
            indices = quantiser.encode(features)
            return indices, quantiser.decode(indices).to(z.dtype)

        return torch.cat([own.flatten(1) for own in self._walk(z, quantise)[0]], dim=1)

    def decode(self, indices: Tensor, grid: Sequence[int] = ()) -> Tensor:
        """s_M of indices (B, L), of the coarsest levels alone where there are no more: then on their own grid.

        Raises:
            UserError: the indices are not those of whole levels of this grid.
        """
        books, s = self.codebooks(grid), None
        ends = [sum(books.lengths[: m + 1]) for m in range(books.num_levels)]
        expected = f"one of {', '.join(map(str, ends))} of a grid {tuple(grid)}"
        require(indices.shape[1] in ends, "indices", indices.shape[1], expected, "give whole levels")
        parts = indices.split(books.lengths[: ends.index(indices.shape[1]) + 1], dim=1)
        for m, own in enumerate(parts):
            s = None if s is None else self.up[m - 1](s)
            s = self._joined(m, s, self.quantisers[m].decode(own.unflatten(1, books.grids[m])))
        return s

    def _walk(self, z: Tensor, quantise: Quantise) -> tuple[list[Any], Tensor]:
        """What each level makes of its features, coarse to fine, and s_M; `quantise` gives this and the codes."""
        found, s = [], None
        for m, h in enumerate(self._reductions(z)):
            s = None if s is None else self.up[m - 1](s)
            answer, codes = quantise(self.quantisers[m], self._features(m, h, s))
            found.append(answer)
            s = self._joined(m, s, codes)
        return found, s

    def _reductions(self, z: Tensor) -> list[Tensor]:
        """h_1, ..., h_M."""
        self.codebooks(z.shape[2:])
        maps = [z]
        for down in self.down:
            maps.append(down(maps[-1]))
        return maps[::-1]

    def _features(self, m: int, h: Tensor, s: Tensor | None) -> Tensor:
        return self.into[m](h if s is None else torch.cat([h, s], dim=1))

    def _joined(self, m: int, s: Tensor | None, e: Tensor) -> Tensor:
        own = self.out[m](e.to(self.out[m].weight.dtype))  # codes may be of higher precision
        return own if s is None else s + own
