"""The noise levels between which a consistency model is made consistent."""

import math

import torch
from torch import Tensor, nn

from genlab.core import require, require_finite


class Discretisation(nn.Module):
    """Draws of neighbouring noise levels sigma_i < sigma_{i+1}, from a grid that gets finer in training.

    sigma_i = (sigma_min^(1/rho) + i / N (sigma_max^(1/rho) - sigma_min^(1/rho)))^rho,  i = 0..N
    N(k) = min(first 2^floor(k / K'), last),  K' = K / (log2(last / first) + 1)
    p(i) ~ Phi((log sigma_{i+1} - mean) / std) - Phi((log sigma_i - mean) / std)

    for optimiser step k of K. Noise levels are sigma(t) / alpha(t), so that the grid can be laid on any path.
    In eval mode N = last at all steps, since losses on different grids do not compare.

    Args:
        total: K, optimiser steps of the training.
        first, last: intervals N at the start and at the end.
        sigma_min, sigma_max: ends of the grid.
        rho: more puts levels nearer the data.
        mean, std: of the logarithm of the noise level.

    Raises:
        UserError: unless 1 <= first <= last and 0 < sigma_min < sigma_max; total or std is not positive,
            rho is below 1, a number is not finite.

    Source: Song and Dhariwal 2023, table 1 and sections 3.4-3.5; the grid is Karras et al. 2022, eq. 5.

    >>> levels = Discretisation(total=700, first=10, last=640)
    >>> [int(levels.intervals(k)) for k in (0, 99, 100, 650, 10_000)]
    [10, 10, 20, 640, 640]
    """

    def __init__(
        self,
        total: int,
        first: int = 10,
        last: int = 1280,
        sigma_min: float = 0.002,
        sigma_max: float = 80.0,
        rho: float = 7.0,
        mean: float = -1.1,
        std: float = 2.0,
    ):
        super().__init__()
        require(total >= 1, "total", total, "a positive number of steps", "use ${trainer.max_steps}")
        ordered = 1 <= first <= last
        require(ordered, "first, last", (first, last), "1 <= first <= last", "10 and 1280 are the paper's")
        ends = (sigma_min, sigma_max)
        ordered = 0 < sigma_min < sigma_max
        require(
            ordered, "sigma_min, sigma_max", ends, "0 < sigma_min < sigma_max", "0.002 and 80 are the paper's"
        )
        require_finite(sigma_max=sigma_max, rho=rho, mean=mean, std=std)
        require(rho >= 1, "rho", rho, "a number of at least 1", "EDM's is 7")
        require(std > 0, "std", std, "a positive number", "the paper's is 2")
        self.total, self.first, self.last = total, first, last
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho
        self.mean, self.std = mean, std
        # In the checkpoint, so that a resumed run goes on; the name is that of runs which counted batches.
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def count_step(self) -> None:
        """One more optimiser step is done: the model says so, since an objective is not told."""
        self.batches += 1

    def intervals(self, step: int | Tensor) -> Tensor:
        """N(k) in training and `last` in eval mode, float32 without dimensions."""
        step = torch.as_tensor(step, dtype=torch.float32)
        if not self.training:
            return torch.full_like(step, self.last)
        period = self.total / (math.floor(math.log2(self.last / self.first)) + 1)
        doublings = torch.floor(step / period)
        return (self.first * 2**doublings).clamp(max=self.last)

    def forward(self, num: int) -> tuple[Tensor, Tensor, Tensor]:
        """Levels sigma_i and sigma_{i+1}, (num,) float32, and whether i = 0, (num,) bool."""
        n = self.intervals(self.batches)
        # A continuous level by its quantile; the interval that it falls into has the probability asked for.
        ends = torch.tensor([self.sigma_min, self.sigma_max], device=n.device)
        low, high = torch.special.ndtr((ends.log() - self.mean) / self.std)
        u = low + (high - low) * torch.rand(num, device=n.device)
        level = torch.exp(self.mean + self.std * torch.special.ndtri(u)).clamp(self.sigma_min, self.sigma_max)
        start, end = ends ** (1 / self.rho)
        i = ((level ** (1 / self.rho) - start) / (end - start) * n).floor().clamp(max=n - 1)
        return self._level(i / n, start, end), self._level((i + 1) / n, start, end), i == 0

    def _level(self, u: Tensor, start: Tensor, end: Tensor) -> Tensor:
        return (start + u * (end - start)) ** self.rho
