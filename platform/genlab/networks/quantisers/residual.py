"""Residual quantisation: each quantiser takes what those before it left."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import full_precision, require
from genlab.networks.quantisers.quantiser import Quantised, Quantiser, straight_through


class ResidualQuantiser(Quantiser):
    """z_q = sum_m q_m(r_m), r_1 = z, r_{m+1} = r_m - sg(q_m(r_m)): depth M indices per position.

    Loss terms are the sums of the quantisers' own.

    Args:
        quantisers: q_1..q_M, of equal dimension and number of codes, of one index per position each.

    Raises:
        UserError: there are fewer than two, or they differ.

    Source: Lee et al. 2022, "Autoregressive image generation using residual quantization", eq. 3-8;
    Zeghidour et al. 2021 (SoundStream), algorithm 1.

    >>> from genlab.networks import VectorQuantiser
    >>> quantiser = ResidualQuantiser([VectorQuantiser(4, 16) for _ in range(3)])
    >>> quantiser(torch.randn(2, 4, 5, 5)).indices.shape, quantiser.bits
    (torch.Size([2, 5, 5, 3]), 12.0)
    """

    def __init__(self, quantisers: Sequence[Quantiser]):
        super().__init__()
        few = f"{len(quantisers)} of them"
        require(len(quantisers) >= 2, "quantisers", few, "at least two", "use that one itself, or none")
        kinds = {(q.dim, q.num_codes, q.depth) for q in quantisers}
        ok = len(kinds) == 1 and quantisers[0].depth == 1
        expected = "equal dim and num_codes, and depth 1"
        require(ok, "quantisers", f"(dim, num_codes, depth) {sorted(kinds)}", expected, "make them alike")
        self.quantisers = nn.ModuleList(quantisers)
        self.dim, self.num_codes, self.depth = quantisers[0].dim, quantisers[0].num_codes, len(quantisers)

    def nearest(self, rows: Tensor) -> Tensor:
        def quantise(quantiser: Quantiser, left: Tensor) -> tuple[Tensor, Tensor]:
            indices = quantiser.nearest(left)
            return indices, quantiser.codes(indices)

        return torch.stack(self._walk(full_precision(rows), quantise), dim=-1)

    def codes(self, indices: Tensor) -> Tensor:
        """The sum of the quantisers' codes; of indices (..., m) with m < depth, of the first m quantisers."""
        levels = zip(self.quantisers, indices.unbind(-1), strict=False)
        return sum(quantiser.codes(i) for quantiser, i in levels)

    def quantise(self, rows: Tensor) -> Quantised:
        def quantise(quantiser: Quantiser, left: Tensor) -> tuple[Quantised, Tensor]:
            answer = quantiser.quantise(left)
            return answer, answer.z_q.detach()

        # In full precision, or late quantisers would learn what rounding left of the first ones' codes.
        answers = self._walk(full_precision(rows), quantise)
        indices = torch.stack([a.indices for a in answers], dim=-1)
        terms = [sum(term) for term in list(zip(*answers, strict=True))[2:]]
        z_q = sum(a.z_q.detach() for a in answers).to(rows.dtype)
        return Quantised(straight_through(rows, z_q), indices, *terms)

    def _walk(self, rows: Tensor, quantise: Callable[[Quantiser, Tensor], tuple[Any, Tensor]]) -> list[Any]:
        """What each quantiser makes of what those before it left; `quantise` gives this and the codes."""
        found = []
        for quantiser in self.quantisers:
            answer, codes = quantise(quantiser, rows)
            found.append(answer)
            rows = rows - codes
        return found
