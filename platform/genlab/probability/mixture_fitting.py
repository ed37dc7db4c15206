"""Fitting a Gaussian mixture to points by expectation maximisation."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability.kmeans import far_rows


@dataclass(frozen=True)
class FittedMixture:
    """p(x) = sum_k w_k N(x; m_k, C_k), and how it was found.

    Args:
        weights: w, (K,), which sum to one.
        means: m, (K, D).
        covariances: C, (K, D, D).
        log_likelihoods: the mean log p(x) in nats before each iteration's update, which never falls without a ridge.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    log_likelihoods: tuple[float, ...] = ()


def fit_gaussian_mixture(
    x: Tensor,
    num_components: int,
    *,
    ridge: float = 1e-6,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    start: FittedMixture | None = None,
    generator: torch.Generator | None = None,
) -> FittedMixture:
    """The mixture of K Gaussians of full covariance that expectation maximisation ends at.

    r_nk = w_k N(x_n; m_k, C_k) / sum_j w_j N(x_n; m_j, C_j);  w_k = mean_n r_nk, and m_k and C_k the mean and
    covariance of x under weights r_nk; ridge I is added to C_k.

    Args:
        x: points, (N, D).
        num_components: K, at most N.
        ridge: what is added to variances, which keeps components off single points.
        max_iterations: at most; fewer, where the mean log-likelihood gains less than the tolerance.
        tolerance: in nats.
        start: where to start; None is at centres that k-means++ chooses, each with the points nearest to it.
        generator: of that choice.

    Raises:
        UserError: a number is out of range, or points are no finite matrix with a row for each component.

    Source: Dempster et al. 1977; Bishop 2006, "Pattern recognition and machine learning", section 9.2.2; the start by
    Arthur and Vassilvitskii 2007, "k-means++".

    >>> x = torch.tensor([[-5.1], [-4.9], [4.9], [5.1], [5.0]])
    >>> fitted = fit_gaussian_mixture(x, 2, generator=torch.Generator().manual_seed(0))
    >>> fitted.weights.sort().values, fitted.means.flatten().sort().values
    (tensor([0.4000, 0.6000], dtype=torch.float64), tensor([-5.,  5.], dtype=torch.float64))
    """
    require(x.ndim == 2, "x", f"points of shape {tuple(x.shape)}", "a matrix (N, D)", "flatten them")
    require(num_components >= 1, "num_components", num_components, "a positive integer", "use 1")
    expected = f"at least {num_components} points, one per component"
    require(len(x) >= num_components, "num_components", f"{len(x)} points", expected, "ask for fewer")
    require(ridge >= 0, "ridge", ridge, "a non-negative number", "use 1e-6")
    require(
        bool(x.isfinite().all()), "x", "points that are not finite", "numbers", "look where they come from"
    )
    x = x.double()
    fitted = start or _maximise(x, _nearest_centre(x, num_components, generator), ridge)
    history: list[float] = []
    for _ in range(max_iterations):
        joint = log_joint(x, fitted)
        history.append(float(joint.logsumexp(1).mean()))
        if len(history) > 1 and history[-1] - history[-2] < tolerance:
            break
        fitted = _maximise(x, joint.softmax(1), ridge)
    return FittedMixture(fitted.weights, fitted.means, fitted.covariances, tuple(history))


def log_joint(x: Tensor, mixture: FittedMixture) -> Tensor:
    """log w_k N(x_n; m_k, C_k), (N, K)."""
    columns = []
    # One component at a time, so that many points need no more memory than they take themselves.
    for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True):
        factor = torch.linalg.cholesky(covariance)
        squares = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False).square().sum(0)
        log_det = 2 * factor.diagonal().log().sum()
        columns.append(weight.log() - 0.5 * (squares + log_det + x.shape[1] * math.log(2 * math.pi)))
    return torch.stack(columns, 1)


def _maximise(x: Tensor, responsibilities: Tensor, ridge: float) -> FittedMixture:
    # A component that lost all its points keeps a vanishing weight, and numbers that are finite.
    counts = responsibilities.sum(0).clamp(min=1e-10)
    means = responsibilities.T @ x / counts[:, None]
    covariances = []
    for mean, r, count in zip(means, responsibilities.T, counts, strict=True):
        away = x - mean
        covariances.append((away * r[:, None]).T @ away / count + ridge * torch.eye(x.shape[1]).to(x))
    return FittedMixture(counts / counts.sum(), means, torch.stack(covariances))


def _nearest_centre(x: Tensor, num: int, generator: torch.Generator | None) -> Tensor:
    """Which of `num` points is nearest, one-hot (N, K): each chosen by its squared distance to those before."""
    nearest = torch.cdist(x, x[far_rows(x, num, generator)]).argmin(1)
    return torch.nn.functional.one_hot(nearest, num).to(x)
