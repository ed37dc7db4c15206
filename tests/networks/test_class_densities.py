"""Densities of vectors by class: their integral, a known mixture, draws of a stream per sample, the start."""

import math

import pytest
import torch

from genlab.core import DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.networks import FlowDensity, MixtureDensity
from genlab.probability import GaussianMixture, fit_gaussian_mixture

SPEC = DataSpec("x", {"vector": ModalitySpec((2,)), "label": ModalitySpec(num_classes=3)})
MAKE = {
    "mixture": lambda: MixtureDensity(SPEC, num_components=2),
    "flow": lambda: FlowDensity(SPEC, num_couplings=3, width=8),
}


def filled(name, scale=0.3):
    """One whose parameters are all away from their start."""
    torch.manual_seed(0)
    density = MAKE[name]()
    with torch.no_grad():
        for p in density.parameters():
            p += scale * torch.randn_like(p)
    return density.double()


@pytest.mark.parametrize("name", MAKE)
def test_each_class_integrates_to_one(name):
    density, side = filled(name, scale=0.15), torch.linspace(-20, 20, 500, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    for c in range(3):
        with torch.no_grad():
            mass = density.log_prob(grid, torch.full((len(grid),), c)).exp().sum() * (side[1] - side[0]) ** 2
        assert mass.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", MAKE)
def test_draws_follow_the_density_and_the_stream(name):
    density, num = filled(name).float(), 4000
    label = torch.ones(num, dtype=torch.int64)
    with torch.no_grad():
        z = density.sample(label, RandomStreams(0, num))
        part = density.sample(label[:3], RandomStreams(0, range(5, 8)))
        # E_p[q / p] = 1 for any density q: here a broad Gaussian's.
        q = torch.distributions.Normal(z.mean(0), 0.8 * z.std(0)).log_prob(z).sum(1)
        ratio = (q - density.log_prob(z, label)).exp()
    torch.testing.assert_close(z[5:8], part)
    assert ratio.mean().item() == pytest.approx(1, abs=5 * ratio.std().item() / math.sqrt(num))


def test_the_mixture_is_that_of_its_parameters():
    density = filled("mixture")
    precision = (density.whitening().mT @ density.whitening()).detach()
    for c in range(3):
        weights = density.log_weights[c].softmax(0).detach()
        known = GaussianMixture(
            density.means[c].detach(), weights=weights, covariances=precision[c].inverse()
        )
        z = torch.randn(10, 2, dtype=torch.float64)
        torch.testing.assert_close(density.log_prob(z, torch.full((10,), c)), known.log_prob(z))


def test_starts_at_what_expectation_maximisation_finds():
    z, label = torch.randn(300, 2), torch.arange(300) % 3
    density = MixtureDensity(SPEC, num_components=2, ridge=0.1)
    before = density.log_prob(z, label).mean()
    density.start(z, label)
    after = density.log_prob(z, label)
    assert after.mean() > before
    of_one = fit_gaussian_mixture(z[label == 0], 1, ridge=0.1)
    single = MixtureDensity(SPEC, num_components=1, ridge=0.1)
    single.start(z, label)
    torch.testing.assert_close(single.means[0].double(), of_one.means, atol=1e-6, rtol=0)
    covariance = (single.whitening()[0].mT @ single.whitening()[0]).inverse()
    torch.testing.assert_close(covariance.double(), of_one.covariances, atol=1e-5, rtol=0)


def test_a_flow_starts_at_each_classs_gaussian():
    z, label = torch.randn(300, 2) * 2 + 1, torch.arange(300) % 3
    density = FlowDensity(SPEC, ridge=0.0)
    density.start(z, label)
    c = z[label == 2]
    gaussian = torch.distributions.MultivariateNormal(c.mean(0), torch.cov(c.T, correction=0))
    torch.testing.assert_close(density.log_prob(c, torch.full((len(c),), 2)), gaussian.log_prob(c))


def test_refusals():
    with pytest.raises(UserError, match="num_components: got 0"):
        MixtureDensity(SPEC, num_components=0)
    with pytest.raises(UserError, match="num_components: got '1 points'"):
        MixtureDensity(SPEC, 2).start(torch.randn(3, 2), torch.arange(3))
