"""Score matching by the divergence: its traces, and the score of a Gaussian mixture as its minimum."""

import pytest
import torch

from genlab.core import DataSpec, UserError
from genlab.objectives import Denoising, ImplicitScoreMatching, NoiseSpace, OwnSpace, SlicedScoreMatching
from genlab.objectives.field_divergence import exact_divergence, projected_divergence, with_pullback
from genlab.probability import (
    Denoiser,
    GaussianMixture,
    LinearBetaPath,
    LinearPath,
    NoisePrediction,
    ScorePrediction,
    UniformTime,
    VelocityPrediction,
)

MIXTURE = GaussianMixture([[-1.0, 0.3], [0.6, -0.4], [0.5, 1.0]], scale=[0.3, 0.5, 0.2], weights=[1, 2, 3])
MOMENT = 0.3
PATH = LinearBetaPath(t_min=MOMENT, t_max=MOMENT + 1e-6)  # one time, so that there is one score
OBJECTIVES = [
    ImplicitScoreMatching("exact"),
    ImplicitScoreMatching("hutchinson", num_projections=2),
    SlicedScoreMatching(),
    SlicedScoreMatching(num_projections=4, variance_reduced=False),
]


def noised() -> GaussianMixture:
    t = torch.tensor(MOMENT)
    return MIXTURE.noised(PATH.alpha(t).item(), PATH.sigma(t).item())


def names(objective) -> str:
    return f"{type(objective).__name__}-{getattr(objective, 'trace', getattr(objective, 'variance_reduced', ''))}"


def test_divergence_exact_and_projected():
    x = torch.randn(5, 3, dtype=torch.float64)
    field, pull = with_pullback(
        lambda x: torch.stack([x[:, 0] ** 2 * x[:, 1], x[:, 1].sin() + x[:, 2], x[:, 2] * x[:, 0]], 1), x
    )
    by_hand = 2 * x[:, 0] * x[:, 1] + x[:, 1].cos() + x[:, 0]
    torch.testing.assert_close(exact_divergence(field, pull), by_hand)
    basis = torch.eye(3, dtype=torch.float64)
    total = sum(projected_divergence(pull, v.expand(5, 3)) for v in basis)
    torch.testing.assert_close(total, by_hand)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=names)
def test_the_loss_of_the_true_score_is_minus_its_norm_and_the_least(objective):
    torch.manual_seed(0)
    p, x_0 = noised(), MIXTURE.sample(60_000)
    sigma2 = PATH.sigma(torch.tensor(MOMENT)).item() ** 2

    def loss(score):
        network = lambda x, t, c: score(x)  # noqa: E731
        torch.manual_seed(1)
        values, _ = objective(Denoiser(network, PATH, ScorePrediction()), x_0)
        return values.mean().item()

    truth = loss(p.score)
    x = p.sample(60_000)
    expected = -sigma2 * p.score(x).square().mean().item()
    assert abs(truth - expected) < 0.06 * abs(expected)
    assert truth < loss(lambda x: 0.8 * p.score(x))
    assert truth < loss(lambda x: 1.2 * p.score(x))
    assert truth < loss(lambda x: p.score(x) + 0.2)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=names)
def test_learns_the_coefficient_that_makes_it_the_true_score(objective):
    torch.manual_seed(0)
    p, factor = noised(), torch.nn.Parameter(torch.tensor(0.3))
    optimizer = torch.optim.Adam([factor], lr=0.05)
    for _ in range(120):
        network = lambda x, t, c: factor * p.score(x)  # noqa: E731
        loss, terms = objective(Denoiser(network, PATH, ScorePrediction()), MIXTURE.sample(1024))
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
    assert abs(factor.item() - 1) < 0.1
    assert set(terms) == {"score_norm"}


@pytest.mark.parametrize(
    ("path", "prediction"),
    [(LinearBetaPath(t_min=0.1), NoisePrediction()), (LinearPath(0.1, 0.95), VelocityPrediction())],
)
@pytest.mark.parametrize("weighting", [NoiseSpace(), OwnSpace()])
def test_has_the_expected_gradient_of_denoising_under_the_same_weighting(path, prediction, weighting):
    """The two differ by a constant (Vincent 2011): under any prediction, on any path."""
    x_0, gradients = MIXTURE.sample(100_000), []
    factor = torch.nn.Parameter(torch.tensor(0.4))
    denoiser = Denoiser(lambda x, t, c: factor * torch.tanh(x), path, prediction)
    times = UniformTime(stratified=True)
    for objective in (ImplicitScoreMatching("exact", 1, weighting, times), Denoising(weighting, times)):
        torch.manual_seed(0)
        loss, _ = objective(denoiser, x_0)
        gradients.append(torch.autograd.grad(loss.mean(), factor)[0].item())
    assert abs(gradients[0] - gradients[1]) < 0.03 * max(1.0, abs(gradients[1]))


def test_validation_without_gradients_is_possible():
    net = torch.nn.Linear(2, 2)
    with torch.inference_mode():
        loss, _ = ImplicitScoreMatching("exact")(
            Denoiser(lambda x, t, c: net(x), PATH, ScorePrediction()), torch.randn(8, 2)
        )
    assert loss.isfinite().all()


@pytest.mark.parametrize("objective", [ImplicitScoreMatching(weighting=OwnSpace()), SlicedScoreMatching()])
@pytest.mark.parametrize(
    ("path", "end"), [(LinearPath(0.0, 0.9), "t_min=0.0"), (LinearPath(0.1, 1.0), "t_max=1.0")]
)
def test_refuses_a_path_at_whose_ends_the_score_is_not_finite(objective, path, end):
    with pytest.raises(UserError, match=f"{end}.*, expected a path with a finite score.* inwards") as error:
        objective.prepare(DataSpec(), path, VelocityPrediction())
    assert "\n" not in str(error.value)
    objective.prepare(DataSpec(), LinearPath(1e-3, 0.999), VelocityPrediction())
    objective.prepare(DataSpec(), LinearBetaPath(), NoisePrediction())


def test_refuses_settings_out_of_range():
    with pytest.raises(UserError, match="trace"):
        ImplicitScoreMatching("approximate")
    with pytest.raises(UserError, match="num_projections"):
        SlicedScoreMatching(num_projections=0)
