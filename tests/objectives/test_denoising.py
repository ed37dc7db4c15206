"""The denoising objective and its weightings."""

import pytest
import torch

from genlab.core import UserError
from genlab.objectives import EDM, P2, Denoising, LearnedUncertainty, MinSNR, NoiseSpace, OwnSpace
from genlab.probability import (
    CosinePath,
    DataPrediction,
    Denoiser,
    LinearPath,
    NoisePrediction,
    OptimalCoupling,
    ScorePrediction,
    StochasticInterpolant,
    UniformTime,
    VelocityPrediction,
    VPrediction,
)

PREDICTIONS = [NoisePrediction(), DataPrediction(), VPrediction(), VelocityPrediction(), ScorePrediction()]
PATH = CosinePath(t_min=0.05, t_max=0.95)


class WrongBy:
    """A network whose estimate of eps is off by a given amount, expressed in any prediction."""

    def __init__(self, prediction, x_0, amount):
        self.prediction, self.x_0, self.amount = prediction, x_0, amount

    def __call__(self, x_t, t, condition):
        alpha, sigma = PATH.alpha(t)[:, None], PATH.sigma(t)[:, None]
        eps = (x_t - alpha * self.x_0) / sigma + self.amount
        return self.prediction.target(PATH, (x_t - sigma * eps) / alpha, eps, t)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_noise_space_weighs_the_error_of_noise_whatever_is_predicted(prediction):
    torch.manual_seed(0)
    x_0 = torch.randn(64, 3, dtype=torch.float64)
    network = WrongBy(prediction, x_0, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    loss, terms = Denoising(NoiseSpace())(Denoiser(network, PATH, prediction), x_0)
    torch.testing.assert_close(loss, torch.full_like(loss, 0.14 / 3), rtol=1e-3, atol=0)
    assert set(terms) == {"mse"}


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_is_a_truncated_weight_of_the_error_of_data(prediction):
    t = torch.linspace(0.05, 0.95, 31, dtype=torch.float64)
    snr = PATH.log_snr(t).exp()
    err_x0 = (PATH.sigma(t) / prediction.determinant(PATH, t)) ** 2  # per error of the prediction
    torch.testing.assert_close(MinSNR(gamma=5)(PATH, prediction, t), snr.clamp(max=5) * err_x0)


def test_own_space_is_plain_regression_and_flow_matching_its_special_case():
    torch.manual_seed(0)
    x_0 = torch.randn(4096, 2)
    path = LinearPath()
    # The best constant-zero velocity network has loss E |eps - x_0|^2 / D = 2 for data of unit variance.
    loss, terms = Denoising(OwnSpace())(
        Denoiser(lambda x, t, c: torch.zeros_like(x), path, VelocityPrediction()), x_0
    )
    assert loss.shape == (4096,)
    assert abs(loss.mean() - 2) < 0.1
    torch.testing.assert_close(terms["mse"], loss.mean())


def test_learns_the_conditional_expectation_of_gaussian_data():
    torch.manual_seed(0)
    t_0, path = 0.4, LinearPath(t_min=0.4, t_max=0.4 + 1e-6)
    weight = torch.zeros(1, requires_grad=True)
    objective = Denoising(times=UniformTime())
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _ in range(200):
        loss, _ = objective(
            Denoiser(lambda x, t, c: weight * x, path, DataPrediction()), 2 * torch.randn(2048, 1)
        )
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    # E[x_0 | x_t] = alpha 4 / (4 alpha^2 + sigma^2) x_t for x_0 ~ N(0, 4)
    expected = (1 - t_0) * 4 / (4 * (1 - t_0) ** 2 + t_0**2)
    assert abs(weight.item() - expected) < 0.01


@pytest.mark.parametrize("weighting", [OwnSpace(), NoiseSpace(), MinSNR(), P2(), EDM(0.7)])
def test_weights_at_the_ends_of_a_path_are_their_limits(weighting):
    """t = 0 and t = 1 occur in training: uniform numbers round to 1, and the sigmoid saturates."""
    near, ends = torch.tensor([1e-9, 1 - 1e-9], dtype=torch.float64), torch.tensor([0.0, 1.0])
    at_ends = weighting(LinearPath(), VelocityPrediction(), ends)
    assert at_ends.isfinite().all()
    limits = weighting(LinearPath(), VelocityPrediction(), near)
    torch.testing.assert_close(at_ends.double(), limits, rtol=1e-6, atol=1e-6)


def test_refuses_a_negative_gamma():
    with pytest.raises(UserError, match="gamma"):
        MinSNR(gamma=-1)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_edm_and_p2_are_weights_of_the_errors_of_data_and_noise(prediction):
    t = torch.linspace(0.05, 0.95, 31, dtype=torch.float64)
    alpha, sigma, determinant = PATH.alpha(t), PATH.sigma(t), prediction.determinant(PATH, t)
    s, sigma_data = sigma / alpha, 0.7
    karras = (s**2 + sigma_data**2) / (s * sigma_data) ** 2 * (sigma / determinant) ** 2
    torch.testing.assert_close(EDM(sigma_data)(PATH, prediction, t), karras)
    choi = (alpha / determinant) ** 2 / (2 + (alpha / sigma) ** 2) ** 0.5
    torch.testing.assert_close(P2(gamma=0.5, k=2.0)(PATH, prediction, t), choi)


def test_learned_uncertainty_starts_as_its_base_and_learns_the_expected_loss():
    torch.manual_seed(0)
    weighting, prediction = LearnedUncertainty(NoiseSpace(), num_features=64), NoisePrediction()
    t = torch.linspace(0.05, 0.95, 256)
    assert torch.equal(weighting.loss(t, PATH, prediction, t), t)
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.02)
    expected = 0.1 + t**2
    for _ in range(400):
        # A squared Gaussian error of this expectation: u must learn its mean, not its median.
        loss = weighting.loss(expected * torch.randn(256).square(), PATH, prediction, t).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    error = weighting.log_loss(PATH, t) - expected.log()
    assert error.square().mean().sqrt() < 0.15
    weighted = weighting(PATH, prediction, t) * expected
    assert (weighted - 1).abs().mean() < 0.15


def test_learned_uncertainty_stands_the_ends_of_a_path_and_mixed_precision():
    weighting, t = LearnedUncertainty(), torch.tensor([0.0, 0.3, 1.0])
    torch.nn.init.normal_(weighting.linear.weight)
    u = weighting.log_loss(LinearPath(), t)
    assert u.isfinite().all()
    loss = weighting.loss(torch.ones(3), LinearPath(), VelocityPrediction(), t)
    assert loss.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(weighting.log_loss(LinearPath(), t), u)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EDM(0.0), "sigma_data"),
        (lambda: P2(gamma=-1), "gamma"),
        (lambda: P2(k=0), "k: got 0"),
        (lambda: LearnedUncertainty(num_features=0), "num_features"),
        (
            lambda: LearnedUncertainty(LearnedUncertainty()),
            "base: got .LearnedUncertainty., expected a weighting",
        ),
    ],
)
def test_refuses_numbers_out_of_range(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_coupling_deals_the_noise_and_an_interpolant_adds_its_own():
    seen = {}

    class Watching(VelocityPrediction):
        def target(self, path, x_0, eps, t):
            seen.update(x_0=x_0, eps=eps, t=t)
            return super().target(path, x_0, eps, t)

    def network(x_t, t, condition):
        seen["x_t"] = x_t
        return torch.zeros_like(x_t)

    x_0 = torch.randn(64, 2)
    optimal = Denoising(coupling=OptimalCoupling())
    torch.manual_seed(0)
    optimal(Denoiser(network, LinearPath(), Watching()), x_0)
    length = (seen["eps"] - x_0).square().sum()
    torch.manual_seed(0)
    Denoising()(Denoiser(network, LinearPath(), Watching()), x_0)
    assert length < 0.7 * (seen["eps"] - x_0).square().sum()

    path = StochasticInterpolant(scale=0.5)
    optimal(Denoiser(network, path, Watching()), x_0)
    assert not torch.equal(seen["x_0"], x_0)  # the pair whose x_t and velocity are the interpolant's
    torch.testing.assert_close(path.sample(seen["x_0"], seen["eps"], seen["t"]), seen["x_t"])
