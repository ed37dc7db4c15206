"""Sliced Wasserstein distance of a solver's samples to data, beside that of data to data."""

from functools import cache
from statistics import mean, stdev

import torch
from torch import Tensor

from genlab.core import RandomStreams
from genlab.probability import (
    CosinePath,
    EDMPath,
    EightGaussians,
    ExactDenoiser,
    GaussianPath,
    LinearBetaPath,
    LinearPath,
    SubVPPath,
    VEPath,
)
from genlab.probability.transport import sliced_wasserstein
from genlab.solvers import Solver

PATHS = (LinearPath(), CosinePath(), LinearBetaPath(), SubVPPath(), VEPath(), EDMPath())
NUM, REPEATS, GROUPS = 4000, 5, 24


def distance_to_data(solver: Solver, path: GaussianPath, num: int = NUM, repeats: int = REPEATS) -> float:
    """Mean sliced Wasserstein-2 distance of samples to `repeats` real sets of the same size."""
    samples = solver(ExactDenoiser(EightGaussians(), path), (2,), rng=RandomStreams(0, num))
    return mean(_sliced(samples, real) for real in _real(num, repeats))


@cache
def floor(num: int = NUM, repeats: int = REPEATS, groups: int = GROUPS) -> tuple[float, float]:
    """The same of real sets: its mean, and what it stays below, three standard deviations above that."""
    real = _real(num, repeats + groups)
    means = [mean(_sliced(x, y) for y in real[:repeats]) for x in real[repeats:]]
    return mean(means), mean(means) + 3 * stdev(means)


def _sliced(x: Tensor, y: Tensor) -> float:
    return float(sliced_wasserstein(x, y, num_projections=32, generator=torch.Generator().manual_seed(0)))


@cache
def _real(num: int, sets: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [EightGaussians().sample(num, generator) for _ in range(sets)]
