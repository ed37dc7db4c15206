"""UniPC: a predictor, and a corrector that costs no evaluation of its own."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability import combination
from genlab.solvers.grids import TimeGrid
from genlab.solvers.multistep import History, Multistep, Node, Start


class UniPC(Multistep):
    """UniPC-p: x_0 as a polynomial in ell through p estimates for the step, through p + 1 for its correction.

    At a step's end the network is evaluated at the predicted x_s; that estimate first corrects x_s itself
    (UniC), then predicts the next step (UniP), so that p orders of prediction give p + 1 at p's cost.

    Args:
        num_steps: steps, and evaluations.
        grid: of times; None is equal steps in t.
        order: p, 1 to 3.
        variant: B(h) = h ("bh1", for few steps without guidance) or e^h - 1 ("bh2").

    Raises:
        UserError: another order.

    Source: Zhao et al. 2023, algorithms 5-8 and eq. 5, 11, 12, for data prediction (h -> -h).
    """

    def __init__(
        self,
        num_steps: int = 10,
        grid: TimeGrid | None = None,
        order: int = 2,
        variant: Literal["bh1", "bh2"] = "bh2",
    ):
        super().__init__(num_steps, grid)
        require(order in (1, 2, 3), "order", order, "1, 2 or 3", "2 is the usual one with guidance")
        self.order, self.variant = order, variant

    def weights(self, ells: Sequence[float], ell: float) -> Sequence[float]:
        h = ell - ells[0]
        return self.unified(h, [(earlier - ells[0]) / h for earlier in ells[1:]])

    def correction(self, ells: Sequence[float], ell: float) -> Sequence[float]:
        """Weights of the estimate at the step's end, then of those at `ells`."""
        h = ell - ells[0]
        here, *earlier, end = self.unified(h, [*((e - ells[0]) / h for e in ells[1:]), 1.0])
        return [end, here, *earlier]

    def unified(self, h: float, r: Sequence[float]) -> list[float]:
        """Weights of the estimates at ell_t and at ell_t + r_k h: -phi_1 D_0 - B sum_k rho_k (D_k - D_0) / r_k."""
        phi_1 = math.expm1(-h)
        b_h = -h if self.variant == "bh1" else phi_1
        if not r:
            return [-phi_1]
        if len(r) == 1:
            rho = [0.5]  # which the paper takes for any r, as its B makes the exact one near 1/2
        else:
            phi, moments = phi_1, []
            for k in range(1, len(r) + 1):
                phi = phi / -h - 1 / math.factorial(k)
                moments.append(math.factorial(k) * phi / b_h)
            powers = (
                torch.tensor(r, dtype=torch.float64) ** torch.arange(len(r), dtype=torch.float64)[:, None]
            )
            rho = torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64)).tolist()
        slopes = [-b_h * p / q for p, q in zip(rho, r, strict=True)]
        return [-phi_1 - sum(slopes), *slopes]

    def corrected(self, x: Tensor, x_0: Tensor, now: Node, start: Start, history: History) -> Tensor:
        if not math.isfinite(start.node.ell):
            return x
        weights = [now.alpha * w for w in self.correction(history.ells[: start.order], now.ell)]
        terms = [x_0, *history.estimates[: start.order]]
        return combination(self.scale(start.node, now), start.x, weights, terms)

    def order_of(self, step: int, nodes: Sequence[Node]) -> int:
        return min(self.order, len(nodes) - 1 - step) if nodes[-1].t == 0 else self.order

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "variant": self.variant}
