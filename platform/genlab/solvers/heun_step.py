"""Heun's step of an ODE: Euler's, then the mean of the slopes at both its ends."""

from collections.abc import Callable

from torch import Tensor

from genlab.core import Condition, expand_like
from genlab.probability import Denoises, Estimate, at_time


def trapezoid(y: Tensor, step: float | Tensor, slope: Tensor, slope_at: Callable[[Tensor], Tensor]) -> Tensor:
    """y + step (slope + slope_at(y + step slope)) / 2, in y's shape; slope_at is the field at the step's end.

    >>> import torch
    >>> y = torch.tensor([1.0])
    >>> trapezoid(y, 0.1, y, lambda end: end)  # dy/dt = y: 1 + h + h^2 / 2
    tensor([1.1050])
    """
    return y + step * (slope + slope_at(y + step * slope)) / 2


def heun_of_estimates(
    denoiser: Denoises,
    estimate: Estimate,
    x_t: Tensor,
    s: float,
    kept: float,
    now: tuple[float, float],
    then: tuple[float, float],
    condition: Condition | None = None,
) -> Tensor:
    """The same, in which a slope is a combination of x_0 and eps: (B, ...), in as few passes over memory as can be.

        x_s = kept x_t + now . (x_0, eps)(x_t) + then . (x_0, eps)(x'),  x' = kept x_t + 2 now . (x_0, eps)(x_t)

    Args:
        denoiser: asked at x' and s.
        estimate: of the denoiser at x_t.
        x_t: where the step begins, (B, ...).
        s: when it ends.
        kept: how much of x_t an Euler step keeps.
        now, then: half a step's factors of x_0 and eps at its beginning and at its end.
        condition: of the samples.

    Source: Karras et al. 2022, algorithm 1.
    """
    middle = estimate.step(x_t, kept, *now)
    end = at_time(denoiser, estimate.step(middle, 1.0, *now), s, condition)
    return end.step(middle, 1.0, *then, own=True)


def heun_step(
    denoiser: Denoises, x_t: Tensor, t: Tensor, s: Tensor, condition: Condition | None = None
) -> Tensor:
    """One step of d(x / alpha) / d(sigma / alpha) = eps from t to s, (B,) each, as distillation needs it.

    Source: Karras et al. 2022, algorithm 1.
    """
    path = denoiser.path
    alpha_t, alpha_s = (expand_like(path.alpha(time), x_t) for time in (t, s))
    step = expand_like(path.noise_level(s) - path.noise_level(t), x_t)
    eps = denoiser(x_t, t, condition).eps
    return alpha_s * trapezoid(x_t / alpha_t, step, eps, lambda y: denoiser(alpha_s * y, s, condition).eps)
