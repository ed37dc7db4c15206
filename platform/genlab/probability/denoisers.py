"""Denoisers: maps from (x_t, t, condition) to estimates of x_0 and eps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from genlab.core import Condition, invalid
from genlab.probability.estimates import Estimate
from genlab.probability.gaussian_path import GaussianPath
from genlab.probability.predictions import Prediction

Network = Callable[[Tensor, Tensor, Condition | None], Tensor]


class Denoises(Protocol):
    """What solvers and guidance need: a path, and estimates of x_0 and eps on it."""

    path: GaussianPath

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Estimate:
        """Estimates at x_t (B, ...), t (B,)."""
        ...


@dataclass(frozen=True)
class Denoiser:
    """A network that predicts something on a path, as a denoiser: (x_t, t, condition) -> x_0 and eps.

    Args:
        network: (x_t, t, condition) -> prediction, in x_t's shape; twice as many channels, where the second half
            gives the variance of steps, as 2 v - 1 (Nichol and Dhariwal 2021, section 3.1).
        path: on which it was trained.
        prediction: what the network's output means.

    >>> import torch
    >>> from genlab.probability import LinearPath, VelocityPrediction
    >>> exact = Denoiser(lambda x, t, c: -x / (1 - t), LinearPath(), VelocityPrediction())  # eps = 0
    >>> exact(torch.tensor([1.0]), torch.tensor([0.5])).x_0
    tensor([2.])
    """

    network: Network
    path: GaussianPath
    prediction: Prediction

    def predict(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """The network's prediction at x_t (B, ...), t (B,), for training and sampling alike.

        Raises:
            UserError: it has another shape, which would broadcast against x_t's.
        """
        return self.outputs(x_t, t, condition)[0]

    def outputs(
        self, x_t: Tensor, t: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The prediction, and v where the network gives a variance too; raises as `predict` does."""
        seen, time = (
            self.prediction.scale_input(self.path, x_t, t),
            self.prediction.network_time(self.path, t),
        )
        pred = self.network(seen, time, condition)
        if pred.shape == x_t.shape:
            return pred, None
        if pred.shape[:2] != (x_t.shape[0], 2 * x_t.shape[1]) or pred.shape[2:] != x_t.shape[2:]:
            expected = f"predictions of x_t's shape {tuple(x_t.shape)}"
            raise invalid("network", tuple(pred.shape), expected, "change its last layer")
        pred, raw = pred.chunk(2, dim=1)
        return pred, (raw + 1) / 2

    def at(self, x_t: Tensor, t: float, condition: Condition | None = None) -> Estimate:
        """Estimates at x_t (B, ...) and one t for all."""
        pred, v = self.outputs(x_t, _filled(t, len(x_t), x_t.dtype, x_t.device), condition)
        return self.prediction.estimate_at(self.path, pred, x_t, t, v)

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Estimate:
        """Estimates at x_t (B, ...), t (B,)."""
        pred, v = self.outputs(x_t, t, condition)
        estimate = self.prediction.estimate(self.path, pred, x_t, t)
        return estimate if v is None else replace(estimate, v=v)


def at_time(denoiser: Denoises, x_t: Tensor, t: float, condition: Condition | None = None) -> Estimate:
    """Estimates at x_t (B, ...) and one t for all, without tensors of factors where the denoiser can do so."""
    at = getattr(denoiser, "at", None)
    return at(x_t, t, condition) if at else denoiser(x_t, x_t.new_full(x_t.shape[:1], t), condition)


@lru_cache(maxsize=512)
def _filled(t: float, num: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """t, (num,), made once for all walks along a grid; one that autograd takes, whoever asks first."""
    with torch.inference_mode(False):
        return torch.full((num,), t, dtype=dtype, device=device)
