"""Grids that are laid in the noise level sigma / alpha, on any path: Karras et al.'s, and equal steps in log SNR."""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability import GaussianPath
from genlab.solvers.grids import TimeGrid, falling

LEAST, MOST = 0.002, 80.0  # EDM's noise levels, where a path's own are 0 and infinite


class NoiseLevelGrid(TimeGrid):
    """num_steps times at noise levels from sigma_max down to sigma_min, then 0; a subclass says which levels.

    Args:
        sigma_min, sigma_max: noise levels sigma / alpha of the last evaluation and the first; None is the path's own
            at t_min and t_max, and where these are 0 or infinite, 0.002 and 80. Samples begin at sigma_max,
            where x_t is taken to be noise alone.

    Raises:
        UserError: unless 0 < sigma_min < sigma_max; on a path that does not reach them.
    """

    def __init__(self, sigma_min: float | None = None, sigma_max: float | None = None):
        low, high = sigma_min or LEAST, sigma_max or (sigma_min or LEAST) + MOST
        remedy = "0.002 and 80 are EDM's; leave them out for the path's own"
        ordered = 0 < low < high < math.inf and sigma_min != 0 and sigma_max != 0
        require(ordered, "sigma_min, sigma_max", (sigma_min, sigma_max), "0 < sigma_min < sigma_max", remedy)
        self.sigma_min, self.sigma_max = sigma_min, sigma_max

    @abstractmethod
    def levels(self, high: float, low: float, u: Tensor) -> Tensor:
        """Noise levels at u in [0, 1], where 0 is `high` and 1 is `low`."""

    def nodes(self, path: GaussianPath, num_steps: int) -> Tensor:
        own = path.noise_level(torch.tensor([path.t_max, path.t_min], dtype=torch.float64)).tolist()
        high = self.sigma_max or (own[0] if math.isfinite(own[0]) else MOST)
        low = self.sigma_min or own[1] or LEAST
        if (
            low == own[1] and path.t_min == 0
        ):  # noise at t = 0 itself, as VE's: the last step is one in levels too
            times = path.time_of_noise_level(self.levels(high, low, 1 - falling(num_steps)))
            times[-1] = 0.0
        else:
            u = torch.arange(num_steps, dtype=torch.float64) / max(1, num_steps - 1)
            times = path.time_of_noise_level(self.levels(high, low, u))
            if low == own[1] and num_steps > 1:  # the inverse rounds
                times[-1] = path.t_min
            times = torch.cat([times, times.new_zeros(1)])
        if high == own[0]:
            times[0] = path.t_max
        return times

    def protocol(self) -> dict[str, object]:
        asked = {"sigma_min": self.sigma_min, "sigma_max": self.sigma_max}
        return {**super().protocol(), **{name: value for name, value in asked.items() if value is not None}}


class KarrasGrid(NoiseLevelGrid):
    """sigma_i = (sigma_max^(1/rho) + i / (N - 1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho, sigma_N = 0.

    Args:
        rho: more puts steps nearer the data; EDM's is 7, and 3 nearly equalises the error of the steps.

    Raises:
        UserError: rho is below 1.

    Source: Karras et al. 2022, eq. 5, whose sigma is sigma / alpha on other paths than theirs.

    >>> from genlab.probability import EDMPath
    >>> [round(80 * t, 3) for t in KarrasGrid().times(EDMPath(), 4).tolist()]
    [80.0, 9.723, 0.47, 0.002, 0.0]
    """

    def __init__(self, rho: float = 7.0, sigma_min: float | None = None, sigma_max: float | None = None):
        super().__init__(sigma_min, sigma_max)
        require(1 <= rho < math.inf, "rho", rho, "a number of at least 1", "EDM's is 7")
        self.rho = rho

    def levels(self, high: float, low: float, u: Tensor) -> Tensor:
        first, last = high ** (1 / self.rho), low ** (1 / self.rho)
        return (first + u * (last - first)) ** self.rho

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "grid": "karras", "rho": self.rho}


class LogSNRGrid(NoiseLevelGrid):
    """Equal steps in log SNR, lambda = 2 log(alpha / sigma): the grid that DPM-Solver's steps h are equal on.

    Source: Lu et al. 2022, section 3.4.

    >>> from genlab.probability import LinearPath
    >>> path = LinearPath(0.01, 0.99)
    >>> [round(h, 6) for h in path.log_snr(LogSNRGrid().times(path, 3)[:-1]).diff().tolist()]
    [9.19024, 9.19024]
    """

    def levels(self, high: float, low: float, u: Tensor) -> Tensor:
        return torch.exp(math.log(high) + u * math.log(low / high))

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "grid": "log SNR"}
