"""One step of the probability-flow ODE between times of each sample's own, as distillation needs them."""

from torch import Tensor

from genlab.core import Condition, expand_like
from genlab.probability import Denoises


def heun_step(
    denoiser: Denoises, x_t: Tensor, t: Tensor, s: Tensor, condition: Condition | None = None
) -> Tensor:
    """One step of d(x / alpha) / d(sigma / alpha) = eps from t to s, (B,) each: Karras et al. 2022, algorithm 1."""
    path = denoiser.path
    alpha_t, alpha_s = (expand_like(path.alpha(time), x_t) for time in (t, s))
    step = expand_like(path.noise_level(s) - path.noise_level(t), x_t)
    eps = denoiser(x_t, t, condition).eps
    x_s = alpha_s * (x_t / alpha_t + step * eps)
    return alpha_s * (x_t / alpha_t + step * (eps + denoiser(x_s, s, condition).eps) / 2)
