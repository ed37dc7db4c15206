"""The exact denoiser of a Gaussian mixture on any path: the truth that solvers and likelihoods are held against."""

import math

import torch
from torch import Tensor

from genlab.core import Condition, require
from genlab.probability.densities import GaussianMixture
from genlab.probability.estimates import Estimate
from genlab.probability.gaussian_path import GaussianPath


class ExactDenoiser:
    """E[x_0 | x_t] and E[eps | x_t] for data from sum_k w_k N(m_k, C_k), and the exact law of x_t.

    x_t given component k is N(alpha m_k, V_k), V_k = alpha^2 C_k + sigma^2 I, so that with the residuals
    r_k = V_k^-1 (x_t - alpha m_k) and p(k | x_t) ~ w_k N(x_t; alpha m_k, V_k)

        E[x_0 | x_t] = sum_k p(k | x_t) (m_k + alpha C_k r_k),   E[eps | x_t] = sum_k p(k | x_t) sigma r_k,

    neither of which divides by alpha or sigma. A `Denoises`, on which solvers and guidance work as on a trained one.
    As a condition, class k is component k: without it the estimate is that of the whole mixture.

    Args:
        mixture: the law of the data x_0.
        path: the Gaussian path.

    >>> from genlab.probability import EightGaussians, LinearPath
    >>> denoiser = ExactDenoiser(EightGaussians(), LinearPath())
    >>> x_t, t = torch.tensor([[0.5, 0.01]]), torch.tensor([0.5])
    >>> estimate = denoiser(x_t, t)
    >>> torch.allclose(denoiser.path.sample(estimate.x_0, estimate.eps, t), x_t)
    True
    """

    def __init__(self, mixture: GaussianMixture, path: GaussianPath):
        self.mixture = mixture
        self.path = path
        self._variances, self._axes = torch.linalg.eigh(mixture.covariances)  # (K, D), (K, D, D)

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Estimate:
        """Estimates at x_t (B, D), t (B,), in x_t's precision."""
        joint, residual, alpha, sigma = self._joint(x_t, t, condition)
        p = joint.softmax(1)
        pulled = alpha * self._variances.to(x_t) * residual
        x_0 = p @ self.mixture.means.to(x_t) + self._turned(p, pulled)
        return Estimate(x_0, self._turned(p, sigma * residual))

    def log_prob(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """log p_t(x_t) in nats, (B,): the marginal at t, (B,), given the classes where there are."""
        return self._joint(x_t, t, condition)[0].logsumexp(1)

    def score(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        """grad log p_t(x_t), (B, D)."""
        joint, residual, _, _ = self._joint(x_t, t, condition)
        return -self._turned(joint.softmax(1), residual)

    def log_classes(self, x_t: Tensor, t: Tensor) -> Tensor:
        """log p(k | x_t), (B, K): the exact noise-aware classifier, for classifier guidance."""
        return self._joint(x_t, t, None)[0].log_softmax(1)

    def _joint(
        self, x_t: Tensor, t: Tensor, condition: Condition | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """log p(k) N(x_t; alpha m_k, V_k), (B, K); residuals r_k in C_k's axes, (B, K, D); alpha, sigma (B, 1, 1)."""
        got, dim = tuple(x_t.shape), self.mixture.dim
        require(x_t.ndim == 2 and got[1] == dim, "x_t", got, f"shape (B, {dim})", "flatten it")
        alpha, sigma = (k.to(x_t)[:, None, None] for k in (self.path.alpha(t), self.path.sigma(t)))
        variance = alpha**2 * self._variances.to(x_t) + sigma**2
        offset = torch.einsum(
            "kij,bki->bkj", self._axes.to(x_t), x_t[:, None] - alpha * self.mixture.means.to(x_t)
        )
        residual = offset / variance
        log_normal = -(offset * residual + (2 * math.pi * variance).log()).sum(2) / 2
        return self._log_weights(x_t, condition) + log_normal, residual, alpha, sigma

    def _log_weights(self, x_t: Tensor, condition: Condition | None) -> Tensor:
        """log w, or 0 for the sample's class and -inf for the others: (B, K) or (K,)."""
        log_weights = self.mixture.log_weights.to(x_t)
        if condition is None or condition.label is None:
            return log_weights
        one = torch.nn.functional.one_hot(condition.label, len(log_weights)).to(x_t).log()
        return torch.where(condition.kept("label")[:, None], one, log_weights)

    def _turned(self, p: Tensor, x: Tensor) -> Tensor:
        """sum_k p_k x_k for x (B, K, D) in the components' axes."""
        return torch.einsum("bk,kij,bkj->bi", p, self._axes.to(p), x)
