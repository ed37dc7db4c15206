"""What a network predicts: each prediction is a linear functional of (x_0, eps), all are interchangeable.

With pred = c(t) x_0 + d(t) eps and x_t = alpha(t) x_0 + sigma(t) eps, the two unknowns follow from

    x_0 = (d x_t - sigma pred) / D,   eps = (alpha pred - c x_t) / D,   D = alpha d - sigma c.
"""

from abc import ABC, abstractmethod
from functools import lru_cache

import torch
from torch import Tensor

from genlab.core import expand_like, invalid, require
from genlab.probability.estimates import Estimate, Factors, LinearEstimate
from genlab.probability.gaussian_path import GaussianPath


class Prediction(ABC):
    """A linear functional pred = c(t) x_0 + d(t) eps."""

    @abstractmethod
    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        """c(t) and d(t), in t's shape."""

    def determinant(self, path: GaussianPath, t: Tensor) -> Tensor:
        """D(t) = alpha d - sigma c; where it is 0, the prediction says nothing about one of x_0 and eps."""
        c, d = self.coefficients(path, t)
        return path.alpha(t) * d - path.sigma(t) * c

    def target(self, path: GaussianPath, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """c(t) x_0 + d(t) eps, for x_0 and eps (B, ...) and t (B,)."""
        c, d = (expand_like(k, x_0) for k in self.coefficients(path, t))
        return c * x_0 + d * eps

    def estimate(self, path: GaussianPath, pred: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        """x_0 and eps from a prediction at x_t (B, ...) and t (B,): the inverse of `target`."""
        c, d = self.coefficients(path, t)
        alpha, sigma, determinant = path.alpha(t), path.sigma(t), self.determinant(path, t)
        from_x, from_pred = expand_like(d / determinant, x_t), expand_like(sigma / determinant, x_t)
        x_0 = from_x * x_t - from_pred * pred
        from_x, from_pred = expand_like(c / determinant, x_t), expand_like(alpha / determinant, x_t)
        return Estimate(x_0, from_pred * pred - from_x * x_t)

    def estimate_at(
        self, path: GaussianPath, pred: Tensor, x_t: Tensor, t: float, v: Tensor | None = None
    ) -> Estimate:
        """`estimate` at one time for all samples: the factors are numbers, found once for each time of a grid."""
        return LinearEstimate(x_t, pred, *_factors(self, path, t), v)

    def scale_input(self, path: GaussianPath, x_t: Tensor, t: Tensor) -> Tensor:
        """What the network sees of x_t (B, ...): c_in(t) x_t, here x_t itself."""
        return x_t

    def network_time(self, path: GaussianPath, t: Tensor) -> Tensor:
        """What the network sees of t (B,): c_noise(t), of order 1, here t itself."""
        return t

    def check(self, path: GaussianPath) -> None:
        """Refuse a path at whose ends the prediction can't be inverted, or the network's time is infinite.

        Raises:
            UserError: D is 0 at t_min or t_max, or not finite; nor is the network's time.
        """
        for name in ("t_min", "t_max"):
            t = torch.tensor([getattr(path, name)], dtype=torch.float64)
            value = self.determinant(path, t).abs().item()
            pair = f"{type(self).__name__} on {type(path).__name__}({name}={t.item()})"
            remedy = f"move {name} inwards (path.init_args.{name}) or choose another prediction"
            require(1e-6 < value < 1e6, "prediction", pair, "one that gives x_0 and eps at both ends", remedy)
            finite = bool(self.network_time(path, t).isfinite())
            require(finite, "prediction", pair, "one whose network has a finite time at both ends", remedy)


@lru_cache(maxsize=4096)
def _factors(prediction: Prediction, path: GaussianPath, t: float) -> tuple[Factors, Factors]:
    """Those of x_t and of the prediction in x_0, and in eps, computed in float64."""
    time = torch.tensor(t, dtype=torch.float64)
    c, d = (float(k) for k in prediction.coefficients(path, time))
    alpha, sigma, determinant = (
        float(k) for k in (path.alpha(time), path.sigma(time), prediction.determinant(path, time))
    )
    if determinant == 0:
        raise invalid(
            "t", t, f"a time at which {type(prediction).__name__} can be inverted", "move t inwards"
        )
    return (d / determinant, -sigma / determinant), (-c / determinant, alpha / determinant)


class NoisePrediction(Prediction):
    """pred = eps (Ho et al. 2020, eq. 11)."""

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), torch.ones_like(t)

    def estimate(self, path: GaussianPath, pred: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        alpha, sigma = (
            path.alpha(t),
            path.sigma(t),
        )  # the same as for any prediction, without terms that are 0
        x_0 = expand_like(1 / alpha, x_t) * x_t - expand_like(sigma / alpha, x_t) * pred
        return Estimate(x_0, pred.to(x_0.dtype))


class DataPrediction(Prediction):
    """pred = x_0."""

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones_like(t), torch.zeros_like(t)

    def estimate(self, path: GaussianPath, pred: Tensor, x_t: Tensor, t: Tensor) -> Estimate:
        alpha, sigma = path.alpha(t), path.sigma(t)
        eps = expand_like(1 / sigma, x_t) * x_t - expand_like(alpha / sigma, x_t) * pred
        return Estimate(pred.to(eps.dtype), eps)


class VPrediction(Prediction):
    """pred = v = alpha eps - sigma x_0 (Salimans and Ho 2022, section 4)."""

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        return -path.sigma(t), path.alpha(t)


class VelocityPrediction(Prediction):
    """pred = d x_t / dt = alpha' x_0 + sigma' eps (Lipman et al. 2023, eq. 9-10)."""

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        return path.alpha_dot(t), path.sigma_dot(t)


class ScorePrediction(Prediction):
    """pred = grad log p(x_t) = -eps / sigma in expectation (Song et al. 2021, eq. 7)."""

    def coefficients(self, path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(t), -1 / path.sigma(t)
