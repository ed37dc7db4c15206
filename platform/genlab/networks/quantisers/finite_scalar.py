"""Finite scalar quantisation: rounding, with nothing to learn."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.core import require
from genlab.networks.quantisers.quantiser import Quantised, Quantiser, straight_through

EPS = 1e-3  # the outermost levels are reached by finite features


class FiniteScalar(Quantiser):
    """Each channel is bounded and rounded to one of L_d levels, all of which are codes: D channels, prod L_d codes.

    y_d = tanh(z_d + s_d) (L_d - 1)(1 + eps) / 2 - o_d,  z_q,d = round(y_d) / floor(L_d / 2)

    with o_d = 1/2 for an even number of levels, else 0, and s_d such that y_d(0) = 0, but s_d = 0 for two levels,
    whose channel would begin on the upper one, without a gradient. The gradient of rounding is
    1, that of the bound is its own; there are no loss terms. The first channel is an index's lowest digit.

    Args:
        levels: L_1..L_D; for 10 bits (8, 5, 5, 5), for 12 (7, 5, 5, 5, 5).

    Raises:
        UserError: there are no channels, one with fewer than two levels, or more codes than 2^63 - 1; the state that is
            loaded is of other levels.

    Source: Mentzer et al. 2024, "Finite scalar quantization: VQ-VAE made simple", section 3, appendix A.1.

    >>> quantiser = FiniteScalar([3, 4])
    >>> z_q, indices, *_ = quantiser(torch.tensor([[[-9.0, 0.0, 9.0], [-9.0, 0.0, 9.0]]]))
    >>> indices.tolist(), z_q[0].round(decimals=4).tolist()
    ([[0, 7, 11]], [[-1.0, 0.0, 1.0], [-1.0, 0.0, 0.5]])
    """

    def __init__(self, levels: Sequence[int] = (8, 5, 5, 5)):
        super().__init__()
        ok = len(levels) > 0 and min(levels) >= 2
        require(
            ok,
            "levels",
            list(levels),
            "at least two levels of at least one channel",
            "use for example 8, 5, 5, 5",
        )
        self.dim, self.num_codes = len(levels), math.prod(levels)
        fits, expected = self.num_codes < 2**63, "fewer than 2^63 codes, the product of the levels"
        require(fits, "levels", list(levels), expected, "use fewer levels, or fewer channels")
        sizes = torch.tensor(list(levels))
        self.register_buffer("levels", sizes)
        self.register_load_state_dict_pre_hook(require_same_levels)
        self.register_buffer(
            "places", torch.cat([sizes.new_ones(1), sizes[:-1].cumprod(0)]), persistent=False
        )
        half, offset = (sizes - 1) * (1 + EPS) / 2, 0.5 * (1 - sizes % 2)
        self.register_buffer("scale", half, persistent=False)
        self.register_buffer("offset", offset, persistent=False)
        # Two levels' bound has y(0) = 0 only where it is flat: theirs is divided at 0 instead.
        shift = torch.atanh(offset / half).masked_fill(sizes == 2, 0)
        self.register_buffer("shift", shift, persistent=False)

    def bound(self, rows: Tensor) -> Tensor:
        """y of rows (..., D), in units of levels."""
        return torch.tanh(rows + self.shift) * self.scale - self.offset

    def nearest(self, rows: Tensor) -> Tensor:
        return self._numbers(self._rounded(self.bound(rows)))

    def codes(self, indices: Tensor) -> Tensor:
        digits = indices[..., None] // self.places % self.levels
        half = self.levels // 2
        return (digits - half) / half.to(self.scale.dtype)

    def quantise(self, rows: Tensor) -> Quantised:
        y = self.bound(rows)
        rounded = self._rounded(y)
        nothing = rows.new_zeros(len(rows))
        z_q = straight_through(y, rounded) / (self.levels // 2)
        return Quantised(z_q, self._numbers(rounded.detach()), nothing, nothing, nothing)

    def _rounded(self, y: Tensor) -> Tensor:
        """The nearest level: among more than a thousand, eps reaches beyond the outermost ones."""
        low = -(self.levels // 2)
        return y.round().clamp(low, low + self.levels - 1)

    def _numbers(self, rounded: Tensor) -> Tensor:
        return ((rounded.long() + self.levels // 2) * self.places).sum(-1)


def require_same_levels(quantiser: FiniteScalar, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Refuse weights that were trained for other levels, which have the same shapes.

    Raises:
        UserError: naming both.
    """
    ours, name = quantiser.levels, f"{prefix}levels"
    theirs = state.setdefault(name, ours)  # earlier states do not hold them
    expected, remedy = f"{theirs.tolist()} as in the checkpoint", "use these, or begin a new run"
    require(torch.equal(theirs.to(ours), ours), "levels", ours.tolist(), expected, remedy)
