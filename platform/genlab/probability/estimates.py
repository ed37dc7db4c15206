"""What a denoiser believes about x_t, and what a solver makes of it: a linear combination."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

Factors = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """What a denoiser believes about x_t: E[x_0 | x_t] and E[eps | x_t], both (B, ...).

    Where it has learned the variance of steps, `v` (B, ...) interpolates between the least and the most (see
    `posteriors.interpolated_variance`), whatever the step is.
    """

    x_0: Tensor
    eps: Tensor
    v: Tensor | None = None

    def step(self, x: Tensor, of_x: float, of_x_0: float, of_eps: float, own: bool = False) -> Tensor:
        """of_x x + of_x_0 x_0 + of_eps eps, (B, ...), which a step of a solver is; written into x if it is our own."""
        return combination(of_x, x, (of_x_0, of_eps), (self.x_0, self.eps), own)


class LinearEstimate(Estimate):
    """x_0 and eps as combinations of x_t and a network's prediction: each is computed when it is asked for, once.

    A step from x_t is a combination of x_t and the prediction too, and computes neither.

    Args:
        x_t: what the network saw, (B, ...).
        pred: its prediction, (B, ...).
        of_x_0, of_eps: the factors of x_t and of the prediction in x_0, and in eps.
        v: see `Estimate`.

    >>> estimate = LinearEstimate(torch.tensor([3.0]), torch.tensor([1.0]), (1.0, -2.0), (0.0, 1.0))
    >>> estimate.x_0, estimate.eps, estimate.step(torch.tensor([3.0]), 0.0, 1.0, 0.5)
    (tensor([1.]), tensor([1.]), tensor([1.5000]))
    """

    def __init__(self, x_t: Tensor, pred: Tensor, of_x_0: Factors, of_eps: Factors, v: Tensor | None = None):
        fields = self.__dict__  # frozen, as its base is
        fields["x_t"], fields["pred"], fields["v"] = x_t, pred, v
        fields["of_x_0"], fields["of_eps"] = of_x_0, of_eps

    @cached_property
    def x_0(self) -> Tensor:
        """E[x_0 | x_t], (B, ...), in x_t's precision."""
        return _of(self.x_t, self.pred, *self.of_x_0)

    @cached_property
    def eps(self) -> Tensor:
        """E[eps | x_t], (B, ...), in x_t's precision."""
        return _of(self.x_t, self.pred, *self.of_eps)

    def step(self, x: Tensor, of_x: float, of_x_0: float, of_eps: float, own: bool = False) -> Tensor:
        (x_t_in_x_0, pred_in_x_0), (x_t_in_eps, pred_in_eps) = self.of_x_0, self.of_eps
        of_x_t = of_x_0 * x_t_in_x_0 + of_eps * x_t_in_eps
        of_pred = of_x_0 * pred_in_x_0 + of_eps * pred_in_eps
        if x is self.x_t:
            return combination(of_x + of_x_t, x, (of_pred,), (self.pred,), own)
        return combination(of_x, x, (of_x_t, of_pred), (self.x_t, self.pred), own)


def combination(
    of_x: float, x: Tensor, weights: Sequence[float], terms: Sequence[Tensor], own: bool = False
) -> Tensor:
    """of_x x + sum_k weights_k terms_k, in as few passes over memory as there are terms that count.

    It is a new tensor, or x, written over, where x is the caller's `own`.
    """
    total: Tensor | None = x
    if of_x == 0:
        total = None
    elif of_x != 1:
        factor = number(of_x, x.dtype)
        total, own = x.mul_(factor) if own else x.mul(factor), True
    for weight, term in zip(weights, terms, strict=False):
        if weight == 0:
            continue
        if total is None:
            total = term.to(x.dtype).mul(number(weight, x.dtype))
        else:
            total = total.add_(term, alpha=weight) if own else torch.add(total, term, alpha=weight)
        own = True
    if total is None:
        return torch.zeros_like(x)
    return total if own else total.clone()


def number(value: float, dtype: torch.dtype) -> Tensor | float:
    """A factor as PyTorch takes it soonest: a float would become a tensor at each product, half of a small one's time.

    Narrower types take it as it is, to be rounded after the product and not before.
    """
    return _tensor(value, dtype) if dtype in (torch.float32, torch.float64) else value


@lru_cache(maxsize=4096)
def _tensor(value: float, dtype: torch.dtype) -> Tensor:
    # One that autograd and all devices take, whoever asks first, and whatever the default device is then.
    with torch.inference_mode(False):
        return torch.tensor(value, dtype=dtype, device="cpu")


def _of(x_t: Tensor, pred: Tensor, of_x: float, of_pred: float) -> Tensor:
    """of_x x_t + of_pred pred, in x_t's dtype; the prediction itself where that is all."""
    if of_x == 0:
        return pred.to(x_t.dtype) if of_pred == 1 else pred.to(x_t.dtype).mul(number(of_pred, x_t.dtype))
    return x_t.mul(number(of_x, x_t.dtype)).add_(pred, alpha=of_pred)
