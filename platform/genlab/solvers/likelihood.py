"""Log-likelihoods by the probability-flow ODE: the instantaneous change of variables."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, invalid, require, sum_per_sample
from genlab.probability import Denoises
from genlab.solvers.adaptive import DormandPrince
from genlab.solvers.dormand_prince import Field
from genlab.solvers.ode import FlowSolver, flow_field
from genlab.solvers.solver import Solver


@dataclass(frozen=True)
class FlowLikelihood:
    """Log-densities and what they are made of: nats = log_prior + log_volume, each (B,).

    Args:
        log_prior: log N(x_T; 0, sigma(T)^2) at the flow's end, where samples begin, T the first time of the solver's
            grid; the law of x_T has the data's variance alpha(T)^2 beside it, which is nothing on paths to pure noise
            and a mismatch on the others (VE, EDM) and on grids that begin at less noise.
        log_volume: the integral of the drift's divergence, by which densities grow towards the data.
        latent: x_T, (B, ...).
        evaluations: of the denoiser, (B,).
    """

    log_prior: Tensor
    log_volume: Tensor
    latent: Tensor
    evaluations: Tensor

    @property
    def nats(self) -> Tensor:
        """log p(x) of each sample, (B,) float64."""
        return self.log_prior + self.log_volume


def flow_log_prob(
    denoiser: Denoises,
    x: Tensor,
    *,
    solver: Solver | None = None,
    trace: Literal["hutchinson", "exact"] = "hutchinson",
    num_probes: int = 1,
    condition: Condition | None = None,
    rng: RandomStreams | None = None,
) -> FlowLikelihood:
    """log p(x) in nats of the density that the probability-flow ODE's solution has, exact but for the solver.

    log p(x) = log N(x_T; 0, sigma(T)^2) + int_{t_min}^T div f(x_t, t) dt,  dx_t / dt = f,  x_{t_min} = x

    Args:
        denoiser: of the model, guided or not.
        x: data, (B, ...).
        solver: of the ODE, adaptive or of fixed steps, whose grid begins at T; None is Dormand-Prince with a tolerance
            of 1e-5, from t_max.
        trace: "hutchinson" estimates the divergence, without bias, by v^T J v with random signs v, which stay the
            same along a trajectory; "exact" needs as many backward passes as x has dimensions.
        num_probes: vectors v per sample.
        condition: of the samples.
        rng: for v, one stream per sample.

    Raises:
        UserError: a solver that is none of ODEs, a grid that begins where x_t is not noise alone, or a random trace
            without streams.

    Source: Song et al. 2021, eq. 39-40; Chen et al. 2018; Grathwohl et al. 2019 for the estimate.

    >>> from genlab.probability import EightGaussians, ExactDenoiser, LinearPath
    >>> p, path = EightGaussians(), LinearPath(t_min=1e-3)
    >>> x = p.sample(4, torch.Generator().manual_seed(0)).double()
    >>> answer = flow_log_prob(ExactDenoiser(p, path), x, trace="exact").nats
    >>> bool((answer - p.log_prob(x)).abs().max() < 0.05)
    True
    """
    solver = flow_solver(solver)
    random = trace == "hutchinson"
    require(not random or rng is not None, "rng", None, "random streams for the trace's estimate", "pass rng")
    rng = rng and rng.to(x.device)  # a copy, whose draws follow each other
    probes = [_signs(x, rng) for _ in range(num_probes)] if random else None
    field = with_divergence(flow_field(denoiser, condition), x.shape[1:], probes)
    y = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], 1)
    times = solver.flow_times(denoiser.path).flip(0)
    y, evaluations = solver.integrate(field, y, times)
    latent = y[:, :-1].reshape(x.shape)
    sigma = float(denoiser.path.sigma(times[-1]))
    z = latent.double() / sigma
    log_prior = sum_per_sample(-(z**2 + math.log(2 * math.pi)) / 2 - math.log(sigma))
    return FlowLikelihood(log_prior, y[:, -1].double(), latent, evaluations)


def flow_solver(solver: Solver | None) -> FlowSolver:
    """A solver that can integrate the probability-flow ODE with its divergence.

    Raises:
        UserError: it is another.
    """
    if solver is None:
        return DormandPrince()
    if not isinstance(solver, FlowSolver):
        expected = "a solver of the probability-flow ODE"
        raise invalid("solver", type(solver).__name__, expected, "pass DormandPrince(), Heun or Euler")
    return solver


def with_divergence(field: Field, shape: torch.Size, probes: list[Tensor] | None) -> Field:
    """A field of (x, log volume), flattened to (n, D + 1): d log volume / dt = div f, estimated by probes or exact."""

    def joint(y: Tensor, t: Tensor, rows: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            x = y[:, :-1].detach().clone().requires_grad_()
            slope = field(x.reshape(-1, *shape), t.clone(), rows).flatten(1)
            divergence = _divergence(slope, x, None if probes is None else [v[rows] for v in probes])
        return torch.cat([slope.detach(), divergence[:, None]], 1)

    return joint


def _divergence(slope: Tensor, x: Tensor, probes: list[Tensor] | None) -> Tensor:
    """tr(d slope / dx) for each sample: (n, D), (n, D) -> (n,)."""

    def vjp(v: Tensor) -> Tensor:
        return torch.autograd.grad(slope, x, v, retain_graph=True)[0]

    if probes is not None:
        return torch.stack([(vjp(v) * v).sum(1) for v in probes]).mean(0)
    total = torch.zeros_like(x[:, 0])
    for i in range(x.shape[1]):
        unit = torch.zeros_like(x)
        unit[:, i] = 1
        total = total + vjp(unit)[:, i]
    return total


def _signs(x: Tensor, rng: RandomStreams) -> Tensor:
    """-1 or 1 in each dimension: (B, D)."""
    return (2 * rng.integers(2, x.shape[1:]) - 1).to(x).flatten(1)


Dequantiser = Callable[[Tensor, RandomStreams], tuple[Tensor, Tensor]]
"""(levels' centres x (B, ...), rng) -> x within its bins (B, ...), and log q of what was added, (B,)."""


def dequantised_log_prob(
    denoiser: Denoises, x: Tensor, dequantiser: Dequantiser, *, rng: RandomStreams, **settings: object
) -> Tensor:
    """A lower bound of the log-probability of levels, in nats (B,): log p(x + u) - log q(u | x), u from q.

    Args:
        denoiser: trained on dequantised data.
        x: centres of levels, (B, ...) in [-1, 1].
        dequantiser: q, uniform or learned (`genlab.solvers.dequantisation`).
        rng: for u, then for the trace.
        settings: of `flow_log_prob`.

    Source: Theis et al. 2016, eq. 3; Ho et al. 2019 (Flow++), eq. 12.
    """
    rng = rng.to(x.device)
    dequantised, log_q = dequantiser(x, rng)
    return flow_log_prob(denoiser, dequantised, rng=rng, **settings).nats - log_q
