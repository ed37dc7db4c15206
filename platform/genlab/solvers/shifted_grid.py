"""A grid of times that is shifted to more noise, for a resolution that needs it."""

from torch import Tensor

from genlab.core import require, require_finite
from genlab.probability import GaussianPath
from genlab.solvers.grids import PowerGrid, TimeGrid


class ShiftedGrid(TimeGrid):
    """Another grid's times shifted to more noise: with u = t / t_max, u' = shift u / (1 + (shift - 1) u).

    An image of m pixels loses its content at higher noise than one of n < m; shift = sqrt(m / n) gives both the same
    uncertainty at the same step. On the linear path it multiplies sigma / alpha by shift.

    Args:
        shift: sqrt(m / n); 3 is the paper's for 1024 x 1024 pixels. 1 changes nothing.
        grid: that is shifted; None is equal steps.

    Raises:
        UserError: shift is not positive.

    Source: Esser et al. 2024, eq. 23.

    >>> from genlab.probability import LinearPath
    >>> ShiftedGrid(3.0).times(LinearPath(), 4).tolist()
    [1.0, 0.9, 0.75, 0.5, 0.0]
    """

    def __init__(self, shift: float = 3.0, grid: TimeGrid | None = None):
        require_finite(shift=shift)
        require(
            shift > 0, "shift", shift, "a positive number", "use sqrt(pixels / the smaller image's pixels)"
        )
        self.shift = shift
        self.grid = grid or PowerGrid()

    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        u = self.grid.nodes(path, num_steps) / path.t_max
        return path.t_max * (self.shift * u / (1 + (self.shift - 1) * u))

    def protocol(self) -> dict[str, object]:
        return {"grid": f"{self.grid.protocol()['grid']} shifted by {self.shift:g}"}
