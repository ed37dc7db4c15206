"""Likelihoods: sums over levels, other packages' answers, extremes, draws."""

import math
from functools import partial

import pytest
import torch
from scipy import stats

from genlab.core import DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.probability import (
    Bernoulli,
    BetaBinomial,
    Categorical,
    DiscretisedLogistic,
    Gaussian,
    Laplace,
    bits_per_dimension,
)

DISCRETE = [
    Categorical,
    Bernoulli,
    BetaBinomial,
    DiscretisedLogistic,
    partial(DiscretisedLogistic, num_mixtures=3),
]
GAUSSIAN = [Gaussian, partial(Gaussian, scale="shared")]
SHAPES = [((2, 3, 4), 17), ((1, 2, 2), 2), ((5,), 256)]


def spec_of(shape, levels):
    return DataSpec("grid", {"image": ModalitySpec(shape, levels)})


def random_params(likelihood, batch, scale=1.0):
    shape = likelihood.data.shape
    generator = torch.Generator().manual_seed(0)
    size = (batch, likelihood.num_channels, *shape[1:])
    return scale * torch.randn(size, generator=generator, dtype=torch.float64)


def probabilities(likelihood, params):
    levels = torch.arange(likelihood.data.num_levels)
    return torch.stack([likelihood.log_prob_of_levels(level, params) for level in levels]).exp()


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
@pytest.mark.parametrize("make", DISCRETE)
def test_probabilities_sum_to_one_over_levels(make, shape, levels):
    likelihood = make(spec_of(shape, levels))
    params = random_params(likelihood, 6, scale=2.0)
    total = probabilities(likelihood, params).sum(0)
    assert total.shape == (6, *shape)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-10, rtol=0)
    assert likelihood.measure == "discrete"


@pytest.mark.parametrize("make", DISCRETE)
def test_log_prob_of_a_sample_is_the_sum_over_its_values(make):
    likelihood = make(spec_of((2, 3, 4), 17))
    params = random_params(likelihood, 3)
    levels = torch.randint(17, (3, 2, 3, 4), generator=torch.Generator().manual_seed(1))
    table = probabilities(likelihood, params).log()
    expected = table.gather(0, levels[None]).squeeze(0).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.log_prob(likelihood.data.values(levels), params), expected)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretised_logistic_against_differences_of_the_distribution_function(levels):
    likelihood = DiscretisedLogistic(spec_of((1, 1, 9), levels))
    means, log_scales = torch.linspace(-1.2, 1.2, 9, dtype=torch.float64), torch.linspace(-3, 1, 9).double()
    params = torch.stack([torch.zeros(9), means, log_scales])[None, :, None]
    edges = torch.linspace(-1, 1, levels + 1, dtype=torch.float64)[1:-1, None].numpy()
    below = stats.logistic.cdf(edges, means.numpy(), log_scales.exp().numpy())
    cdf = torch.cat([torch.zeros(1, 9), torch.from_numpy(below), torch.ones(1, 9)])
    torch.testing.assert_close(
        probabilities(likelihood, params).flatten(1), cdf.diff(dim=0), atol=1e-9, rtol=1e-6
    )


def test_binomial_and_beta_binomial_against_scipy():
    levels = torch.arange(17)
    logit, a, b = 0.3, 0.4, 2.5
    bernoulli, beta = Bernoulli(spec_of((1,), 17)), BetaBinomial(spec_of((1,), 17))
    found = probabilities(bernoulli, torch.full((1, 1), logit, dtype=torch.float64)).flatten()
    expected = stats.binom.pmf(levels.numpy(), 16, 1 / (1 + math.exp(-logit)))
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-9, rtol=1e-6)
    found = probabilities(beta, torch.tensor([[a, b]], dtype=torch.float64).log()).flatten()
    torch.testing.assert_close(found, torch.from_numpy(stats.betabinom.pmf(levels.numpy(), 16, a, b)))


@pytest.mark.parametrize("make", [*DISCRETE, *GAUSSIAN])
def test_extreme_parameters_give_finite_values_and_gradients(make):
    likelihood = make(spec_of((1, 1, 6), 256))
    x = likelihood.data.values(torch.tensor([0, 255, 128]))[:, None, None, None].expand(3, 1, 1, 6)
    for sign in (-40.0, 40.0):
        params = torch.full((3, likelihood.num_channels, 1, 6), sign).requires_grad_()
        log_prob = likelihood.log_prob(x, params)
        log_prob.sum().backward()
        assert torch.isfinite(log_prob).all()
        assert torch.isfinite(params.grad).all()


@pytest.mark.parametrize("make", [*DISCRETE, *GAUSSIAN])
def test_draws_have_the_stated_mean_and_do_not_depend_on_the_batch(make):
    likelihood = make(spec_of((1, 2, 2), 17))
    params = random_params(likelihood, 1, 0.3).float().expand(4000, -1, -1, -1)
    draws = likelihood.sample(params, RandomStreams(0, 4000))
    assert draws.shape == (4000, 1, 2, 2)
    assert draws.abs().max() <= 1
    if (
        likelihood.measure == "discrete"
    ):  # a Gaussian's draws are clipped to the range, its mean is not theirs
        assert torch.equal(draws, likelihood.data.quantise(draws))
        error = draws.std(0) / math.sqrt(len(draws))
        assert ((draws.mean(0) - likelihood.mean(params)[0]).abs() < 4.5 * error).all()
    parts = [likelihood.sample(params[: len(rng)], rng) for rng in RandomStreams(0, 10).split(3)]
    assert torch.equal(torch.cat(parts), draws[:10])


def test_gaussian_density_and_dequantised_bound():
    x = torch.linspace(-0.9, 0.9, 8, dtype=torch.float64).view(1, 1, 2, 4)
    density = Gaussian(spec_of((1, 2, 4), 0))
    params = random_params(density, 1)
    mean, scale = params[:, :1], 1e-3 + torch.nn.functional.softplus(params[:, 1:])
    expected = torch.distributions.Normal(mean, scale).log_prob(x).sum()
    torch.testing.assert_close(density.log_prob(x, params).sum(), expected)
    assert density.measure == "density"

    levels = Gaussian(spec_of((1, 2, 4), 17))
    assert levels.measure == "dequantised"
    centres, width = levels.data.quantise(x), levels.data.bin_width
    noise = ((torch.arange(20_000) + 0.5) / 20_000 - 0.5).double().view(-1, 1, 1, 1) * width
    of_noise = torch.distributions.Normal(mean, scale).log_prob(centres + noise).mean(0).sum()
    bound = levels.log_prob(centres, params)
    torch.testing.assert_close(bound, of_noise[None] + 8 * math.log(width), atol=1e-6, rtol=0)
    normal = torch.distributions.Normal(mean, scale)
    exact = (normal.cdf(centres + width / 2) - normal.cdf(centres - width / 2)).log().sum()
    assert bound < exact


def test_shared_scale_is_one_learned_number():
    likelihood = Gaussian(spec_of((1, 2, 2), 17), scale="shared")
    assert (likelihood.num_channels, sum(p.numel() for p in likelihood.parameters())) == (1, 1)
    likelihood.log_prob(torch.zeros(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)).sum().backward()
    assert likelihood.shared.grad != 0


def test_uniform_levels_cost_log2_k_bits():
    likelihood = Categorical(spec_of((1, 4, 4), 16))
    nats = likelihood.log_prob(torch.zeros(2, 1, 4, 4), torch.zeros(2, 16, 4, 4))
    assert bits_per_dimension(nats, likelihood.data).tolist() == pytest.approx([4.0, 4.0])


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Categorical(spec_of((2,), 0)), "likelihood: got .*Categorical.*data with levels"),
        (lambda: DiscretisedLogistic(spec_of((2,), 4), num_mixtures=0), "num_mixtures: got 0"),
        (lambda: Gaussian(spec_of((2,), 4), scale="pixel"), "scale: got 'pixel'"),
        (lambda: Gaussian(spec_of((2,), 4), min_scale=0.0), "min_scale: got 0.0"),
    ],
)
def test_wrong_arguments_are_named(make, argument):
    with pytest.raises(UserError, match=argument):
        make()


def test_laplace_bounds_the_probability_of_levels_by_its_mean_over_the_bin():
    """Against the integral over the bin of log w p(x + u), and below the bin's probability."""
    likelihood = Laplace(spec_of((1, 1, 7), 5), scale=0.3)
    mean = torch.tensor([[[[-0.9, -0.4, -0.05, 0.0, 0.1, 0.33, 2.0]]]], dtype=torch.float64)
    x, width = torch.zeros_like(mean), 0.4
    u = (torch.arange(20001, dtype=torch.float64) / 20000 - 0.5) * width
    law = torch.distributions.Laplace(mean[..., None], torch.tensor(0.3, dtype=torch.float64))
    inside = law.log_prob(x[..., None] + u) + math.log(width)
    expected = torch.trapezoid(inside, u, dim=-1).sum() / width
    torch.testing.assert_close(likelihood.log_prob(x, mean), expected[None], rtol=1e-6, atol=0)
    probability = (law.cdf(x[..., None] + width / 2) - law.cdf(x[..., None] - width / 2)).log().sum()
    assert likelihood.measure == "dequantised"
    assert likelihood.log_prob(x, mean)[0] < probability


def test_laplace_draws_have_its_spread():
    likelihood = Laplace(DataSpec("x", {"image": ModalitySpec((1, 1, 1))}), scale=0.05)
    params = torch.full((20000, 1, 1, 1), 0.25)
    drawn = likelihood.sample(params, RandomStreams(0, 20000)).flatten()
    assert drawn.mean().item() == pytest.approx(0.25, abs=0.002)
    assert (drawn - 0.25).abs().mean().item() == pytest.approx(0.05, rel=0.03)
    assert stats.kstest(drawn.numpy(), stats.laplace(0.25, 0.05).cdf).pvalue > 0.01
    assert likelihood.measure == "density"
    with pytest.raises(UserError, match="scale: got 0"):
        Laplace(spec_of((1, 1, 1), 0), scale=0)
