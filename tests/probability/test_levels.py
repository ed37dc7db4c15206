"""Levels of a ladder: their posteriors' parameterisations by the papers' formulas, KL and weights against torch's."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from genlab.probability import (
    AbsolutePosterior,
    DiagonalGaussian,
    Level,
    PrecisionWeightedPosterior,
    ResidualPosterior,
)


def gaussian(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean, log_scale = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(mean, 0.5 * log_scale)


def params(*shape):
    generator = torch.Generator().manual_seed(7)
    return 0.5 * torch.randn(shape[0], 2 * shape[1], *shape[2:], generator=generator, dtype=torch.float64)


def of_torch(law):
    return Independent(Normal(law.mean, law.log_scale.exp()), law.mean.ndim - 1)


def test_residual_posterior_has_the_papers_kl():
    prior, given = gaussian(5, 2, 3, 3), params(5, 2, 3, 3)
    level = Level(prior, ResidualPosterior()(prior, given), prior.mean)
    d_mu, d_sigma = given[:, :2], given[:, 2:].exp()
    stated = 0.5 * ((d_mu / prior.log_scale.exp()).square() + d_sigma**2 - (d_sigma**2).log() - 1)
    torch.testing.assert_close(level.kl(), stated.flatten(1).sum(1))
    at_rest = Level(prior, ResidualPosterior()(prior, torch.zeros_like(given)), prior.mean)
    assert (at_rest.kl() == 0).all()


def test_precision_weighted_posterior_is_the_product_of_two_gaussians():
    prior, given = gaussian(1, 3), params(1, 3)
    posterior = PrecisionWeightedPosterior()(prior, given)
    evidence, z = DiagonalGaussian.from_params(given), torch.randn(50, 3, dtype=torch.float64)
    product = prior.log_prob(z) + evidence.log_prob(z)
    constant = product - posterior.log_prob(z)
    torch.testing.assert_close(constant, constant[:1].expand(50))


def test_absolute_posterior_ignores_the_prior():
    given = params(2, 3)
    one, other = (AbsolutePosterior()(gaussian(2, 3, seed=seed), given) for seed in (0, 1))
    assert torch.equal(one.mean, other.mean)
    assert torch.equal(one.log_scale, other.log_scale)


@pytest.mark.parametrize("kind", [AbsolutePosterior, ResidualPosterior, PrecisionWeightedPosterior])
def test_kl_and_weights_are_torchs(kind):
    prior = gaussian(4, 2, 3)
    posterior = kind()(prior, params(4, 2, 3))
    z = posterior.sample(torch.randn(4, 2, 3, dtype=torch.float64))
    level, p, q = Level(prior, posterior, z), of_torch(prior), of_torch(posterior)
    torch.testing.assert_close(level.kl(), kl_divergence(q, p))
    torch.testing.assert_close(level.log_weight(), p.log_prob(z) - q.log_prob(z))
    torch.testing.assert_close(prior.sample(level.noise().view_as(z)), z)


def test_kl_is_the_mean_of_the_weights():
    prior = gaussian(1, 4)
    posterior = ResidualPosterior()(prior, params(1, 4))
    torch.manual_seed(0)
    z = posterior.sample(torch.randn(40_000, 4, dtype=torch.float64))
    level = Level(prior, posterior, z)
    weights = -level.log_weight()
    assert (weights.mean() - level.kl()).abs() < 4 * weights.std() / 200
