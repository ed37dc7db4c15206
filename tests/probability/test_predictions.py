"""Predictions: every one of them gives x_0 and eps back, and turns into every other."""

import itertools
import math

import pytest
import torch

from genlab.core import UserError, expand_like
from genlab.probability import (
    CosinePath,
    DataPrediction,
    Denoiser,
    EDMPath,
    EDMPrediction,
    Estimate,
    LinearBetaPath,
    LinearPath,
    NoisePrediction,
    OffsetCosinePath,
    ScorePrediction,
    StochasticInterpolant,
    SubVPPath,
    VelocityPrediction,
    VEPath,
    VPrediction,
)
from genlab.probability.estimates import LinearEstimate

PATHS = [
    LinearPath(t_min=1e-3, t_max=0.999),
    CosinePath(),
    LinearBetaPath(),
    OffsetCosinePath(),
    SubVPPath(),
    VEPath(),
    EDMPath(),
    StochasticInterpolant(),
]
PREDICTIONS = [
    NoisePrediction(),
    DataPrediction(),
    VPrediction(),
    VelocityPrediction(),
    ScorePrediction(),
    EDMPrediction(),
    EDMPrediction(sigma_data=2.0),
]


def example(path, n=32):
    """x_0, eps, t, x_t in float64, with both ends among the times."""
    generator = torch.Generator().manual_seed(0)
    x_0, eps = torch.randn(2, n, 2, 3, generator=generator, dtype=torch.float64)
    t = torch.linspace(path.t_min, path.t_max, n, dtype=torch.float64)
    return x_0, eps, t, path.sample(x_0, eps, t)


@pytest.mark.parametrize(("path", "prediction"), itertools.product(PATHS, PREDICTIONS))
def test_estimate_inverts_target(path, prediction):
    x_0, eps, t, x_t = example(path)
    estimate = prediction.estimate(path, prediction.target(path, x_0, eps, t), x_t, t)
    torch.testing.assert_close(estimate.x_0, x_0, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(estimate.eps, eps, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("path", "prediction"), itertools.product(PATHS, PREDICTIONS))
def test_estimates_at_one_time_are_those_at_equal_times(path, prediction):
    _, _, times, x_t = example(path)
    pred = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for t in times[[0, 13, -1]]:
        one = prediction.estimate_at(path, pred, x_t, t.item())
        each = prediction.estimate(path, pred, x_t, t.expand(len(x_t)))
        for x in (x_t, x_t.flip(0)):  # before either is asked for, and of what x_0 and eps are no part of
            step = one.step(x, 0.5, -2.0, 3.0)
            torch.testing.assert_close(step, 0.5 * x - 2 * each.x_0 + 3 * each.eps, rtol=1e-6, atol=1e-9)
        assert not {"x_0", "eps"} & set(vars(one))
        torch.testing.assert_close((one.x_0, one.eps), (each.x_0, each.eps))


def test_steps_leave_what_they_are_made_of_as_it_is():
    x_t, pred = torch.randn(2, 3, 4, dtype=torch.float64)
    for estimate in (Estimate(x_t, pred), LinearEstimate(x_t, pred, (1.0, 0.0), (0.0, 1.0))):
        for factors in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.5, 0.0), (2.0, 1.0, 1.0)):
            step, before = estimate.step(x_t, *factors), (x_t.clone(), pred.clone())
            expected = factors[0] * x_t + factors[1] * estimate.x_0 + factors[2] * estimate.eps
            torch.testing.assert_close(step, expected)
            step.zero_()
            assert torch.equal(x_t, before[0])
            assert torch.equal(pred, before[1])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
@pytest.mark.parametrize(("source", "target"), itertools.permutations(PREDICTIONS, 2))
def test_wrong_predictions_convert_and_come_back(path, source, target):
    _, _, t, x_t = example(path)
    pred = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    there = source.estimate(path, pred, x_t, t)
    torch.testing.assert_close(path.sample(there.x_0, there.eps, t), x_t)  # estimates are consistent with x_t
    back = target.estimate(path, target.target(path, there.x_0, there.eps, t), x_t, t)
    torch.testing.assert_close(source.target(path, back.x_0, back.eps, t), pred, rtol=1e-7, atol=1e-7)


def test_targets_are_the_papers():
    for path in PATHS:
        x_0, eps, t, _ = example(path)
        alpha, sigma = expand_like(path.alpha(t), x_0), expand_like(path.sigma(t), x_0)
        torch.testing.assert_close(VPrediction().target(path, x_0, eps, t), alpha * eps - sigma * x_0)
        torch.testing.assert_close(ScorePrediction().target(path, x_0, eps, t), -eps / sigma)
        torch.testing.assert_close(VelocityPrediction().target(path, x_0, eps, t), path.velocity(x_0, eps, t))
    x_0, eps, t, _ = example(LinearPath())
    torch.testing.assert_close(VelocityPrediction().target(LinearPath(), x_0, eps, t), eps - x_0)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_edm_prediction_is_the_papers(path):
    """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) with table 1's coefficients, for x = x_t / alpha."""
    x_0, eps, t, x_t = example(path)
    sigma, s = expand_like(path.sigma(t) / path.alpha(t), x_t), 0.5
    c_skip, c_out = s**2 / (sigma**2 + s**2), sigma * s / (sigma**2 + s**2).sqrt()
    c_in, c_noise = 1 / (sigma**2 + s**2).sqrt(), sigma.flatten(1)[:, 0].log() / 4
    x = x_t / expand_like(path.alpha(t), x_t)
    prediction = EDMPrediction(sigma_data=s)
    torch.testing.assert_close(prediction.target(path, x_0, eps, t), (x_0 - c_skip * x) / c_out)

    def network(x, t, condition):
        torch.testing.assert_close(t, c_noise)
        return x.sin()

    expected = c_skip * x + c_out * (c_in * x).sin()
    estimate = Denoiser(network, path, prediction)(x_t, t)
    torch.testing.assert_close(estimate.x_0, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: type(path).__name__)
def test_edm_network_sees_and_predicts_unit_variance(path):
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.5 * torch.randn(8, 20_000, generator=generator, dtype=torch.float64)
    eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    t = torch.linspace(path.t_min, path.t_max, 8, dtype=torch.float64)
    prediction = EDMPrediction(sigma_data=0.5)
    seen = prediction.scale_input(path, path.sample(x_0, eps, t), t)
    for x in (seen, prediction.target(path, x_0, eps, t)):
        torch.testing.assert_close(x.var(1), torch.ones(8, dtype=torch.float64), rtol=0.05, atol=0)
    assert prediction.network_time(path, t).abs().max() < 3


def test_edm_network_sees_the_logarithm_of_the_noise_level_at_the_scale_asked_for():
    path, t = EDMPath(), torch.tensor([0.001, 0.1], dtype=torch.float64)
    seen = EDMPrediction(noise_scale=0.001).network_time(path, t)
    torch.testing.assert_close(seen.diff(), torch.tensor([0.001 * math.log(100)], dtype=torch.float64))
    torch.testing.assert_close(250 * seen, EDMPrediction().network_time(path, t))


def test_edm_prediction_is_minus_v_for_unit_data():
    path = CosinePath()
    x_0, eps, t, _ = example(path)
    v = VPrediction().target(path, x_0, eps, t)
    torch.testing.assert_close(EDMPrediction(sigma_data=1.0).target(path, x_0, eps, t), -v)


def test_others_see_their_input_as_it_is():
    path = CosinePath()
    _, _, t, x_t = example(path)
    for prediction in PREDICTIONS[:5]:
        assert prediction.scale_input(path, x_t, t) is x_t
        assert prediction.network_time(path, t) is t


def test_denoiser_joins_network_path_and_prediction():
    path = CosinePath()
    x_0, eps, t, x_t = example(path)
    denoiser = Denoiser(lambda x, t, c: alpha_eps_minus_sigma_x(path, x_0, eps, t), path, VPrediction())
    torch.testing.assert_close(denoiser(x_t, t).x_0, x_0)


def test_a_prediction_of_another_shape_is_refused_and_not_broadcast():
    denoiser = Denoiser(lambda x, t, c: x[:, :1], LinearPath(), VelocityPrediction())
    with pytest.raises(UserError, match=r"network: got \(2, 1, 4, 4\), expected .* \(2, 3, 4, 4\)"):
        denoiser(torch.zeros(2, 3, 4, 4), torch.full((2,), 0.5))


def alpha_eps_minus_sigma_x(path, x_0, eps, t):
    """v, in so many words."""
    return expand_like(path.alpha(t), x_0) * eps - expand_like(path.sigma(t), x_0) * x_0


@pytest.mark.parametrize(
    ("path", "prediction"),
    [
        (LinearPath(), NoisePrediction()),
        (LinearPath(), DataPrediction()),
        (LinearPath(), ScorePrediction()),
        (LinearPath(), EDMPrediction()),
        (LinearBetaPath(t_min=0.0), VelocityPrediction()),
        (OffsetCosinePath(t_min=0.0), VelocityPrediction()),
        (SubVPPath(t_min=0.0), DataPrediction()),
    ],
)
def test_refuses_singular_ends(path, prediction):
    with pytest.raises(UserError, match=r"prediction: got .*move t_(min|max) inwards"):
        prediction.check(path)


def test_takes_regular_ends():
    for path, prediction in itertools.product(PATHS, PREDICTIONS):
        prediction.check(path)
    VelocityPrediction().check(LinearPath())
    VPrediction().check(LinearPath())
    VelocityPrediction().check(EDMPath())
    VelocityPrediction().check(SubVPPath(t_min=0.0))


def test_refuses_data_without_variance():
    with pytest.raises(UserError, match="sigma_data"):
        EDMPrediction(sigma_data=0)
    with pytest.raises(UserError, match=r"noise_scale: got 0, .* the paper's is 0.25"):
        EDMPrediction(noise_scale=0)
