"""How a level's posterior q(z_l | z_<l, x) is made from its prior p(z_l | z_<l) and an encoder's parameters."""

from typing import Protocol

import torch
from torch import Tensor

from genlab.probability.divergences import DiagonalGaussian


class LevelPosterior(Protocol):
    """Makes q(z_l | z_<l, x) at one level of a ladder."""

    def __call__(self, prior: DiagonalGaussian, params: Tensor) -> DiagonalGaussian:
        """q, over maps (B, C, ...).

        Args:
            prior: p(z_l | z_<l), over maps (B, C, ...).
            params: of the inference network, (B, 2 C, ...).
        """
        ...


class AbsolutePosterior:
    """q = N(mean, scale^2): the parameters are the posterior's own, whatever the prior is.

    Source: Child 2021, "Very deep VAEs generalize autoregressive models and can outperform them on images".
    """

    def __call__(self, prior: DiagonalGaussian, params: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian.from_params(params)


class ResidualPosterior:
    """q = N(mu + d_mu, (sigma d_sigma)^2) about the prior N(mu, sigma^2): the parameters say what x adds to it.

    KL(q || p) = 1/2 (d_mu^2 / sigma^2 + d_sigma^2 - log d_sigma^2 - 1), which is 0 where they are 0.

    Source: Vahdat and Kautz 2020, "NVAE: a deep hierarchical variational autoencoder", section 3.2 and eq. 2.

    >>> prior = DiagonalGaussian(torch.full((1, 1), 3.0), torch.zeros(1, 1))
    >>> ResidualPosterior()(prior, torch.tensor([[0.5, 0.0]])).mean
    tensor([[3.5000]])
    """

    def __call__(self, prior: DiagonalGaussian, params: Tensor) -> DiagonalGaussian:
        residual = DiagonalGaussian.from_params(params)
        return DiagonalGaussian(prior.mean + residual.mean, prior.log_scale + residual.log_scale)


class PrecisionWeightedPosterior:
    """q = the product of N(m, s^2), which x says bottom-up, and the prior N(mu, sigma^2), normalised.

    1 / sigma_q^2 = 1 / s^2 + 1 / sigma^2,  mu_q = sigma_q^2 (m / s^2 + mu / sigma^2)

    Source: Sonderby et al. 2016, "Ladder variational autoencoders", section 2.2.

    >>> prior = DiagonalGaussian(torch.full((1, 1), 3.0), torch.zeros(1, 1))
    >>> q = PrecisionWeightedPosterior()(prior, torch.tensor([[1.0, 0.0]]))
    >>> q.mean, (2 * q.log_scale).exp()
    (tensor([[2.]]), tensor([[0.5000]]))
    """

    def __call__(self, prior: DiagonalGaussian, params: Tensor) -> DiagonalGaussian:
        evidence = DiagonalGaussian.from_params(params)
        log_precision = torch.logaddexp(-2 * evidence.log_scale, -2 * prior.log_scale)
        weight = torch.sigmoid(2 * (prior.log_scale - evidence.log_scale))  # of the evidence
        return DiagonalGaussian(prior.mean.lerp(evidence.mean, weight), -0.5 * log_precision)
