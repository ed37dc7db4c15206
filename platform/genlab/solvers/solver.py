"""What all solvers share: one signature, the walk along a grid of times."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import pairwise
from typing import Self

from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises, GaussianPath
from genlab.solvers.grids import PowerGrid, TimeGrid


class Solver(ABC):
    """Turns noise into data by steps along a path.

    Args:
        num_steps: steps from t_max to 0.
        grid: where they end; None is equal steps in t.

    Attributes:
        to_origin: whether it needs x_0 to be where the trajectory began (a consistency model), not the mean.
        needs_score: whether its steps need -eps / sigma to be the score of x_t, as those with noise do; a step of the
            ODE needs the velocity alone, which is right also where noise is coupled with the data.

    Raises:
        UserError: num_steps is not positive.
    """

    to_origin = False
    needs_score = False

    def __init__(self, num_steps: int = 50, grid: TimeGrid | None = None):
        require(num_steps > 0, "num_steps", num_steps, "a positive number of steps", "use for example 50")
        self.num_steps = num_steps
        self.grid = grid or PowerGrid()

    @property
    def nfe(self) -> int:
        """Evaluations of the denoiser per sample."""
        return self.num_steps

    def with_steps(self, num_steps: int) -> Self:
        """The same solver with another number of steps; this one stays as it is."""
        solver = copy(self)
        solver.num_steps = num_steps
        return solver

    def check(self, path: GaussianPath) -> None:
        """Refuse a path on which the grid can't be laid, or begins where x_t is not noise alone.

        Raises:
            UserError: from the grid.
        """
        self.grid.from_noise(path, self.num_steps)

    @abstractmethod
    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        """From x_t at time t to x_s at s < t: (B, ...) -> (B, ...). At s = 0 the answer is an estimate of data."""

    def states(
        self,
        denoiser: Denoises,
        shape: Sequence[int],
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
    ) -> Iterator[Tensor]:
        """The num_steps + 1 states from noise to data, each (len(rng), *shape).

        The first is drawn from N(0, sigma(t)^2), t the grid's first time.
        """
        times = self.grid.from_noise(denoiser.path, self.num_steps)
        x = denoiser.path.sigma(times[0]).float().to(rng.device) * rng.normal(shape)
        yield x
        yield from self.walk(denoiser, x, times, condition=condition, rng=rng)

    def walk(
        self,
        denoiser: Denoises,
        x: Tensor,
        times: Tensor,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
    ) -> Iterator[Tensor]:
        """The states after x, which need not be noise, at times[1:]; x (B, ...) is at times[0]."""
        for t, s in pairwise(times.tolist()):
            x = self.step(denoiser, x, t, s, condition, rng)
            yield x

    def __call__(
        self,
        denoiser: Denoises,
        shape: Sequence[int],
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
    ) -> Tensor:
        """Samples (len(rng), *shape); sample i's noise comes from rng's i-th stream alone."""
        return deque(self.states(denoiser, shape, condition=condition, rng=rng), maxlen=1).pop()

    def protocol(self) -> dict[str, object]:
        """How it samples, as primitives."""
        return {
            "solver": type(self).__name__,
            "num_steps": self.num_steps,
            "nfe": self.nfe,
            **self.grid.protocol(),
        }
