"""Orders of convergence where the truth is known: by coupled trajectories, and by exact moments."""

import math
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor

from genlab.core import expand_like
from genlab.probability import (
    CosinePath,
    EDMPath,
    Estimate,
    ExactDenoiser,
    GaussianMixture,
    GaussianPath,
    LinearBetaPath,
    LinearPath,
)
from genlab.solvers import DormandPrince, LogSNRGrid, Solver
from genlab.solvers.ode import flow_field
from tests.solvers.entries import Entry

SMOOTH = GaussianMixture([[-1.0, 0.0], [1.0, 0.5], [0.0, -1.0]], scale=0.5)
ENDS = (LinearPath(0.01, 0.99), CosinePath(0.01, 0.99), LinearBetaPath(t_min=0.01), EDMPath(0.02, 20.0))


def start_up(path: GaussianPath, num_steps: int) -> Tensor:
    """Equal steps in log SNR to t_min, after one more of length h^1.5, which a first step of order 1 needs."""
    times = LogSNRGrid().times(path, num_steps + 1)[:-1]
    first, second = (path.log_snr(times[:2]) / 2).tolist()
    early = torch.tensor(2 * (first + (second - first) ** 1.5 / 2), dtype=torch.float64)
    return torch.cat([times[:1], path.time_of_log_snr(early)[None], times[1:]])


@cache
def reference(path: GaussianPath) -> tuple[Tensor, Tensor]:
    """Noise at t_max, and where Dormand-Prince leads it by t_min with a tolerance of 1e-12."""
    ends = torch.tensor([path.t_max, path.t_min], dtype=torch.float64)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = float(path.sigma(ends[0])) * x
    return x, DormandPrince(1e-12, 1e-12).integrate(flow_field(ExactDenoiser(SMOOTH, path)), x, ends)[0]


def trajectory_errors(make, path: GaussianPath, numbers: tuple[int, ...]) -> list[float]:
    """Largest distances at t_min of coupled trajectories to the reference's."""
    x, end = reference(path)
    errors = []
    for n in numbers:
        *_, reached = make(n).walk(ExactDenoiser(SMOOTH, path), x, start_up(path, n), rng=None)
        errors.append(float((reached - end).abs().max()))
    return errors


def rates(errors: list[float]) -> list[float]:
    """Orders of convergence between successive doublings."""
    return [math.log2(a / b) for a, b in pairwise(errors)]


class OneGaussian:
    """The denoiser of N(mean, std^2), under which every solver's answer is affine in the noises that it draws."""

    def __init__(self, path: GaussianPath, mean: float = 0.5, std: float = 0.3):
        self.path, self.mean, self.std = path, mean, std

    def __call__(self, x_t, t, condition=None):
        alpha, sigma = expand_like(self.path.alpha(t), x_t), expand_like(self.path.sigma(t), x_t)
        residual = (x_t - alpha * self.mean) / (alpha**2 * self.std**2 + sigma**2)
        return Estimate(self.mean + alpha * self.std**2 * residual, sigma * residual)


class UnitNoises:
    """Streams whose sample j draws 1 in draw j and 0 otherwise; the last sample draws nothing but 0."""

    def __init__(self, num: int):
        self.num, self.draws = num, 0

    def __len__(self):
        return self.num

    def normal(self, shape):
        noise = torch.zeros(self.num, *shape, dtype=torch.float64)
        noise[self.draws] = 1.0
        assert self.draws < self.num - 1, "a draw for which there is no sample"
        self.draws += 1
        return noise


def weak_errors(solver: Solver, path: GaussianPath, draws: int = 2) -> tuple[float, float]:
    """Errors of mean and variance at t_min of a Gaussian's samples that begin with the true law at t_max: exact.

    The answer is affine in the noises, so its variance is the sum of squared responses to each of them, of
    which a step has at most `draws`.
    """
    times = solver.grid.times(path, solver.num_steps)[:-1]
    denoiser = OneGaussian(path)
    streams = UnitNoises(draws * solver.num_steps + 2)
    first, last = ((path.alpha(t), path.sigma(t)) for t in (times[0], times[-1]))
    law = [(alpha * 0.5, (alpha**2 * 0.09 + sigma**2).sqrt()) for alpha, sigma in (first, last)]
    x = law[0][0] + law[0][1] * streams.normal((1,))
    *_, end = solver.walk(denoiser, x, times, rng=streams)
    mean, responses = end[-1], end[:-1] - end[-1]
    variance = responses.square().sum()
    return abs(float(mean - law[1][0])), abs(float(variance - law[1][1] ** 2))


def order_of(entry: Entry, path: GaussianPath, numbers: tuple[int, int] = (80, 160)) -> float:
    """The order between two numbers of steps: of trajectories, or of a Gaussian's variance where steps draw noise."""
    if not entry.weak:
        return rates(trajectory_errors(entry.make, path, numbers))[0]
    return rates([weak_errors(entry.make(n), path)[1] for n in numbers])[0]
