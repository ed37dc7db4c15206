"""Expectation maximisation: scikit-learn's answer, a likelihood that never falls, a mixture found again."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture as Peer

from genlab.core import UserError
from genlab.probability import FittedMixture, GaussianMixture, fit_gaussian_mixture


def points(num=400, seed=0):
    generator = torch.Generator().manual_seed(seed)
    covariances = [[[0.5, 0.2], [0.2, 0.3]], [[0.2, 0.0], [0.0, 1.0]]]
    truth = GaussianMixture([[-1.5, 0.0], [1.5, 0.5]], weights=[0.3, 0.7], covariances=covariances)
    return truth, truth.sample(num, generator).double()


@pytest.mark.filterwarnings("ignore:.*did not converge.*")
@pytest.mark.parametrize("iterations", [1, 6])
def test_each_iteration_is_that_of_scikit_learn(iterations):
    _, x = points()
    means = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    eye = torch.eye(2, dtype=torch.float64).repeat(2, 1, 1)
    start = FittedMixture(torch.full((2,), 0.5, dtype=torch.float64), means, eye)
    ours = fit_gaussian_mixture(x, 2, start=start, max_iterations=iterations, tolerance=-1.0, ridge=1e-3)
    given = {"weights_init": [0.5, 0.5], "means_init": means.numpy(), "precisions_init": eye.numpy()}
    theirs = Peer(2, max_iter=iterations, tol=0.0, reg_covar=1e-3, **given).fit(x.numpy())
    for mine, name in (
        (ours.weights, "weights_"),
        (ours.means, "means_"),
        (ours.covariances, "covariances_"),
    ):
        np.testing.assert_allclose(mine.numpy(), getattr(theirs, name), atol=1e-10)


def test_the_likelihood_never_falls_and_the_mixture_is_found():
    truth, x = points(4000)
    fitted = fit_gaussian_mixture(x, 2, ridge=0.0, tolerance=1e-7, generator=torch.Generator().manual_seed(0))
    gains = np.diff(fitted.log_likelihoods)
    assert (gains >= -1e-12).all()
    assert len(gains) < 99, "it ends by itself"
    order = fitted.means[:, 0].argsort()
    torch.testing.assert_close(fitted.means[order], truth.means, atol=0.1, rtol=0)
    torch.testing.assert_close(fitted.covariances[order], truth.covariances, atol=0.1, rtol=0)
    torch.testing.assert_close(fitted.weights[order], torch.tensor([0.3, 0.7]).double(), atol=0.03, rtol=0)
    assert fitted.log_likelihoods[-1] >= truth.log_prob(x).mean().item(), (
        "no worse than the truth on its own data"
    )


def test_one_component_is_mean_and_covariance_and_the_ridge_is_added():
    _, x = points()
    fitted = fit_gaussian_mixture(x, 1, ridge=0.5)
    torch.testing.assert_close(fitted.means[0], x.mean(0))
    torch.testing.assert_close(
        fitted.covariances[0], torch.cov(x.T, correction=0) + 0.5 * torch.eye(2).double()
    )


def test_points_that_repeat_do_no_harm():
    fitted = fit_gaussian_mixture(torch.zeros(5, 3), 3, generator=torch.Generator().manual_seed(0))
    assert fitted.means.isfinite().all()
    assert fitted.weights.sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "arguments", "message"),
    [
        (torch.zeros(3, 2), {"num_components": 4}, "num_components: got '3 points'"),
        (torch.zeros(3), {"num_components": 1}, "x: got 'points of shape"),
        (torch.full((3, 2), float("nan")), {"num_components": 1}, "x: got 'points that are not finite'"),
        (torch.zeros(3, 2), {"num_components": 1, "ridge": -1.0}, "ridge: got -1.0"),
    ],
)
def test_refusals(x, arguments, message):
    with pytest.raises(UserError, match=message):
        fit_gaussian_mixture(x, **arguments)
