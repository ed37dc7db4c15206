"""From data to the noise that leads to them, back, and between the noises of two data."""

import torch
from torch import Tensor

from genlab.core import Condition, expand_like, require
from genlab.probability import Denoises
from genlab.solvers.likelihood import flow_solver
from genlab.solvers.ode import flow_field
from genlab.solvers.solver import Solver


def invert(
    denoiser: Denoises, x: Tensor, *, solver: Solver | None = None, condition: Condition | None = None
) -> Tensor:
    """The noise x_T from which the probability-flow ODE leads to x: deterministic, (B, ...) -> (B, ...).

    Args:
        denoiser: of the model, guided or not.
        x: data.
        solver: of the ODE; None is Dormand-Prince with a tolerance of 1e-5.
        condition: of the samples.

    Raises:
        UserError: a solver that is none of ODEs.

    Source: Song et al. 2021, section 4.3; Song et al. 2021 (DDIM), section 5.4.

    >>> from genlab.probability import EightGaussians, ExactDenoiser, LinearPath
    >>> denoiser = ExactDenoiser(EightGaussians(), LinearPath(1e-3))
    >>> x = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    >>> bool((generate(denoiser, invert(denoiser, x)) - x).abs().max() < 1e-3)
    True
    """
    solver = flow_solver(solver)
    times = solver.flow_times(denoiser.path).flip(0)
    return solver.integrate(flow_field(denoiser, condition), x, times)[0]


def generate(
    denoiser: Denoises, latent: Tensor, *, solver: Solver | None = None, condition: Condition | None = None
) -> Tensor:
    """The way back of `invert`: data whose noise is `latent`, down to t_min."""
    solver = flow_solver(solver)
    return solver.integrate(flow_field(denoiser, condition), latent, solver.flow_times(denoiser.path))[0]


def interpolate(
    denoiser: Denoises,
    a: Tensor,
    b: Tensor,
    num: int = 8,
    *,
    solver: Solver | None = None,
    condition: Condition | None = None,
) -> Tensor:
    """Data between a and b, by spherical interpolation of their noises: (num, B, ...), from a to b.

    Args:
        denoiser: of the model, guided or not.
        a, b: data, (B, ...).
        num: with both ends.
        solver: of the ODE; None is Dormand-Prince with a tolerance of 1e-5.
        condition: of the samples.

    Raises:
        UserError: num is below 2; a solver that is none of ODEs.

    Source: Song et al. 2021 (DDIM), section 5.3 and appendix D.5, for inverted images.
    """
    require(num >= 2, "num", num, "at least 2", "both ends are among them")
    settings = {"solver": solver, "condition": condition}
    z_a, z_b = (invert(denoiser, x, **settings) for x in (a, b))
    shares = torch.linspace(0, 1, num).tolist()
    return torch.stack([generate(denoiser, slerp(z_a, z_b, share), **settings) for share in shares])


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """sin((1 - share) theta) / sin(theta) a + sin(share theta) / sin(theta) b, theta the angle between each pair.

    >>> slerp(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 0.5)
    tensor([[0.7071, 0.7071]])
    """
    flat_a, flat_b = a.flatten(1).double(), b.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(flat_a, flat_b)
    theta = cosine.clamp(-1 + 1e-7, 1 - 1e-7).acos()
    of_a, of_b = ((theta * k).sin() / theta.sin() for k in (1 - share, share))
    return expand_like(of_a, a).to(a) * a + expand_like(of_b, b).to(b) * b
