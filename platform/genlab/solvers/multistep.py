"""Solvers that step by several estimates of x_0 of earlier times, on log(alpha / sigma) as their clock.

With ell = log(alpha / sigma), half the log SNR, the probability-flow ODE is solved by

    x_s = (sigma_s / sigma_t) x_t + sigma_s int_{ell_t}^{ell_s} e^ell x_0(x, ell) d ell

(Lu et al. 2022b, eq. 8), and a solver is the polynomial that it puts in place of x_0 there.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams
from genlab.probability import Denoises, GaussianPath, at_time, combination
from genlab.solvers.solver import Solver

FEW = 15  # steps below which the last ones are of lower order (Lu et al. 2022b, section 5 and appendix D)


class Node(NamedTuple):
    """A time of a grid: t, alpha, sigma and ell = log(alpha / sigma), which is -inf where alpha is 0."""

    t: float
    alpha: float
    sigma: float
    ell: float


@lru_cache(maxsize=4096)
def node_at(path: GaussianPath, t: float) -> Node:
    """The node of one time, computed once."""
    return nodes_of(path, torch.tensor([t], dtype=torch.float64))[0]


@lru_cache(maxsize=4096)
def slopes_at(path: GaussianPath, t: float) -> tuple[float, float]:
    """alpha'(t) and sigma'(t), computed in float64 once."""
    time = torch.tensor(t, dtype=torch.float64)
    return float(path.alpha_dot(time)), float(path.sigma_dot(time))


def nodes_of(path: GaussianPath, times: Tensor) -> list[Node]:
    """The nodes of a grid, computed in float64 once, so that a step costs a few products."""
    return list(_nodes(path, tuple(times.tolist())))


@lru_cache(maxsize=256)
def _nodes(path: GaussianPath, times: tuple[float, ...]) -> list[Node]:
    t = torch.tensor(times, dtype=torch.float64)
    columns = (t, path.alpha(t), path.sigma(t), path.log_snr(t) / 2)
    return [Node(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


class Start(NamedTuple):
    """Where a step began: its node, x there, and how many estimates it took."""

    node: Node
    x: Tensor
    order: int


@dataclass
class History:
    """Estimates of x_0 and their ell, newest first, at most `length`; those at ell = -inf are of no use."""

    length: int
    ells: list[float]
    estimates: list[Tensor]

    def add(self, ell: float, x_0: Tensor) -> None:
        """Put the newest in front."""
        known = [] if self.ells == [-torch.inf] else self.ells
        self.estimates = [x_0, *self.estimates[: len(known)]][: self.length]
        self.ells = [ell, *known][: self.length]


class Multistep(Solver):
    """x_s = a x_t + alpha_s sum_k w_k x_0(t_k) + noise, t_0 = t and t_k the times before it.

    One evaluation per step. The first steps, and with fewer than 15 steps the last ones, have as many estimates
    as there are; the step to t = 0 takes the last one.
    """

    order: int

    @abstractmethod
    def weights(self, ells: Sequence[float], ell: float) -> Sequence[float]:
        """w of as many estimates as `ells`, which are the times' ells, newest first, for a step to `ell`."""

    def scale(self, now: Node, then: Node) -> float:
        """The factor a of x_t."""
        return then.sigma / now.sigma

    def noise(self, now: Node, then: Node) -> float:
        """The standard deviation of the noise that a step adds."""
        return 0.0

    def walk(
        self,
        denoiser: Denoises,
        x: Tensor,
        times: Tensor,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
    ) -> Iterator[Tensor]:
        nodes, history = nodes_of(denoiser.path, times), History(self.order, [], [])
        before: Start | None = None
        for step, (now, then) in enumerate(pairwise(nodes)):
            x_0 = at_time(denoiser, x, now.t, condition).x_0
            if then.t == 0:
                x = x_0
            else:
                if before is not None:
                    x = self.corrected(x, x_0, now, before, history)
                history.add(now.ell, x_0)
                order = self.order_of(step, nodes)
                before = Start(now, x, min(order, len(history.ells)))
                weights = [then.alpha * w for w in self.weights(history.ells[:order], then.ell)]
                x = combination(self.scale(now, then), x, weights, history.estimates)
                if std := self.noise(now, then):
                    x.add_(rng.normal(x.shape[1:]).to(x), alpha=std)
            yield x

    def corrected(self, x: Tensor, x_0: Tensor, now: Node, start: Start, history: History) -> Tensor:
        """x at `now` by the estimate x_0 there, after a step from `start`; here it stays as it is."""
        return x

    def order_of(self, step: int, nodes: Sequence[Node]) -> int:
        """How many estimates step number `step` may use."""
        few = nodes[-1].t == 0 and len(nodes) <= FEW
        return min(self.order, len(nodes) - 1 - step) if few else self.order

    def step(
        self,
        denoiser: Denoises,
        x_t: Tensor,
        t: float,
        s: float,
        condition: Condition | None,
        rng: RandomStreams,
    ) -> Tensor:
        """One step without history, of order 1."""
        times = torch.tensor([t, s], dtype=torch.float64)
        return next(self.walk(denoiser, x_t, times, condition=condition, rng=rng))

    def protocol(self) -> dict[str, object]:
        return {**super().protocol(), "order": self.order}
