"""Grids of times for solvers: powers of t, the cosine schedule's, or given."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from genlab.core import invalid, require
from genlab.probability import GaussianPath

START = (
    3.0  # the noise level from which noise alone passes for x_t: data of variance 1 are a tenth of it there
)


class TimeGrid(ABC):
    """Where a solver evaluates: num_steps + 1 falling times to 0, the others between the path's t_max and t_min.

    A grid does not change, nor does a path: times are laid once for both, so make another grid for other settings.
    """

    @abstractmethod
    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        """The grid, (num_steps + 1,) float64, from noise to data."""

    def times(self, path: GaussianPath, num_steps: int) -> Tensor:
        """The grid, (num_steps + 1,) float64, laid once.

        Raises:
            UserError: it leaves the path's times, or does not fall to 0.
        """
        return self._laid(path, num_steps).clone()

    @lru_cache(maxsize=256)  # noqa: B019 - grids are small, and few
    def _laid(self, path: GaussianPath, num_steps: int) -> Tensor:
        times = self.nodes(path, num_steps)
        ends = times[[0, -2, -1]].tolist() if len(times) == num_steps + 1 else None
        inside = ends and ends[0] <= path.t_max * (1 + 1e-9) and ends[1] >= path.t_min * (1 - 1e-9)
        if not inside or ends[2] != 0 or not bool((times.diff() < 0).all()):
            got = f"{[float(f'{t:.4g}') for t in times[:2]]} to {[float(f'{t:.4g}') for t in times[-2:]]}"
            most, least = path.t_max, path.t_min
            expected = f"num_steps + 1 times that fall from at most {most:g} to 0, none in (0, {least:g})"
            raise invalid("grid", got, expected, "change its arguments, or the path's t_min and t_max")
        return times

    def from_noise(self, path: GaussianPath, num_steps: int) -> Tensor:
        """`times` for a walk whose first x_t is drawn as noise alone, N(0, sigma^2) of the first time.

        Raises:
            UserError: as `times`; the first time is before the path's end, and the noise level there below 3, where
                x_t is still made of data.
        """
        times = self.times(path, num_steps)
        level = float(path.noise_level(times[0]))
        got = f"a first time of {float(times[0]):.4g}, where sigma / alpha is {level:.3g}"
        expected = (
            f"t_max = {path.t_max:g}, or noise of {START:g} and more, since walks begin with noise alone"
        )
        remedy = "begin the grid there, by its sigma_max or its first time"
        require(level >= START or times[0] >= path.t_max * (1 - 1e-6), "grid", got, expected, remedy)
        return times

    def protocol(self) -> dict[str, object]:
        """Which grid it is, as primitives."""
        return {"grid": type(self).__name__}


class PowerGrid(TimeGrid):
    """t_i = t_max (1 - i / N)^power: equal steps for power 1, finer ones near the data above.

    Args:
        power: at least 1.

    Raises:
        UserError: power is below 1.

    Source: Song et al. 2021 (DDIM), appendix D.2, has powers 1 and 2.

    >>> from genlab.probability import LinearPath
    >>> PowerGrid(2).times(LinearPath(), 4).tolist()
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """

    def __init__(self, power: float = 1.0):
        require(power >= 1, "power", power, "a number of at least 1", "1 gives equal steps")
        self.power = power

    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        most = (path.t_max / path.t_min) ** (1 / self.power) + 1e-9 if path.t_min else 2.0**62
        require(
            num_steps <= most, "num_steps", num_steps, f"at most {int(most)} down to t_min", "use fewer steps"
        )
        return path.t_max * falling(num_steps) ** self.power

    def protocol(self) -> dict[str, object]:
        return {"grid": "uniform" if self.power == 1 else f"power {self.power:g}"}


class CosineGrid(TimeGrid):
    """Times at which sigma / alpha = tan(pi/2 u), u falling in equal steps: the cosine schedule's, on any path.

    Source: Nichol and Dhariwal 2021, eq. 17 without the offset; Hoogeboom et al. 2023, section 2.

    >>> from genlab.probability import CosinePath, LinearPath
    >>> CosineGrid().times(CosinePath(0.0, 1.0), 4).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    >>> [round(t, 3) for t in CosineGrid().times(LinearPath(), 4).tolist()]
    [1.0, 0.707, 0.5, 0.293, 0.0]
    """

    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        highest = path.noise_level(torch.tensor(path.t_max, dtype=torch.float64)).atan()
        times = path.time_of_noise_level((highest * falling(num_steps)[:-1]).tan())
        times[0] = path.t_max
        return torch.cat([times, times.new_zeros(1)])

    def protocol(self) -> dict[str, object]:
        return {"grid": "cosine"}


class GivenGrid(TimeGrid):
    """The times themselves.

    Args:
        times: falling, from noise to 0; the solver's num_steps is one less than their number.

    Raises:
        UserError: a time is outside [0, 1].
    """

    def __init__(self, times: Sequence[float]):
        inside = len(times) > 1 and all(math.isfinite(t) and 0 <= t <= 1 for t in times)
        require(inside, "times", list(times), "two or more in [0, 1]", "t = 0 is data and t = 1 is noise")
        self.given = [float(t) for t in times]

    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        steps = len(self.given) - 1
        require(
            num_steps == steps,
            "num_steps",
            num_steps,
            f"{steps}, one less than the grid's times",
            "change one",
        )
        return torch.tensor(self.given, dtype=torch.float64)

    def protocol(self) -> dict[str, object]:
        return {"grid": self.given}


def falling(num_steps: int) -> Tensor:
    """1 - i / N for i = 0..N: (N + 1,) float64."""
    return 1 - torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
