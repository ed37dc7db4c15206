"""Editing with the exact denoiser of a mixture."""

import pytest
import torch

from genlab.core import RandomStreams, UserError
from genlab.probability import (
    CosinePath,
    EDMPath,
    EightGaussians,
    ExactDenoiser,
    GaussianMixture,
    LinearBetaPath,
    LinearPath,
    VEPath,
)
from genlab.solvers import DDIM, Ancestral, DPMSolverPP, Heun, KarrasGrid
from genlab.solvers.image_to_image import image_to_image
from genlab.solvers.inpainting import inpaint
from genlab.solvers.inversion import generate, interpolate, invert

MIXTURE = EightGaussians()
PATHS = [LinearPath(1e-3), CosinePath(), LinearBetaPath(), EDMPath()]


PAIR = GaussianMixture([[-1.0, -1.0], [1.0, 1.0]], scale=0.2)


@pytest.mark.parametrize("path", PATHS)
def test_inpainting_keeps_what_is_known_and_finds_what_fits(path):
    """Of two Gaussians, the first coordinate says which one it is."""
    x = torch.tensor([[1.0, 9.0], [-1.0, 9.0]]).repeat(100, 1)
    known, solver = torch.tensor([True, False]), Ancestral(20, KarrasGrid())
    settings = {"solver": solver, "resamples": 4, "jump": 4}
    filled = inpaint(ExactDenoiser(PAIR, path), x, known, **settings, rng=RandomStreams(0, 200))
    assert torch.equal(filled[:, 0], x[:, 0])
    assert ((filled[:, 1] - x[:, 0]).abs() < 0.8).float().mean() > 0.95
    parts = [
        inpaint(ExactDenoiser(PAIR, path), x[:9], known, **settings, rng=rng)
        for rng in RandomStreams(0, 9).split(9)
    ]
    torch.testing.assert_close(torch.cat(parts), filled[:9])


@pytest.mark.parametrize("path", [*PATHS, VEPath()])
def test_what_is_filled_in_is_data_on_every_path(path):
    """And no mean of them: as it is used, without a solver that was chosen for the path."""
    x = MIXTURE.sample(200, torch.Generator().manual_seed(0))
    filled = inpaint(
        ExactDenoiser(MIXTURE, path),
        x,
        torch.tensor([True, False]),
        resamples=2,
        rng=RandomStreams(0, 200),
    )
    assert (MIXTURE.log_prob(filled.double()) < -6).float().mean() < 0.1, "far from every mode"
    assert torch.equal(filled[:, 0], x[:, 0])


def test_resampling_brings_the_parts_to_agree():
    x, denoiser = torch.tensor([[1.0, 9.0]]).repeat(200, 1), ExactDenoiser(PAIR, CosinePath())

    def wrong(resamples):
        settings = {"solver": Ancestral(10), "resamples": resamples, "jump": 2, "rng": RandomStreams(0, 200)}
        filled = inpaint(denoiser, x, torch.tensor([True, False]), **settings)
        return int((filled[:, 1] < 0).sum())

    assert wrong(1) > 5
    assert wrong(6) < wrong(1) / 2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", [Heun(30, KarrasGrid()), DPMSolverPP(30, KarrasGrid())])
def test_image_to_image_goes_further_with_strength(path, solver):
    x = MIXTURE.sample(300, torch.Generator().manual_seed(0))
    denoiser = ExactDenoiser(MIXTURE, path)
    edited = [
        image_to_image(denoiser, x, strength, solver=solver, rng=RandomStreams(0, 300))
        for strength in (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)
    ]
    assert torch.equal(edited[0], x)
    distances = [float((y - x).norm(dim=1).mean()) for y in edited]
    assert distances == sorted(distances)
    assert distances[1] < 0.2 < 1.0 < distances[-1]
    nearest = (edited[3][:, None] - MIXTURE.means.float()).norm(dim=2).amin(1)
    assert nearest.mean() < 0.16, "what comes back is data: 0.125 is the mean distance of a Gaussian's draws"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", [None, Heun(100, KarrasGrid())])
def test_inversion_and_return_give_the_data_back(path, solver):
    x = MIXTURE.sample(50, torch.Generator().manual_seed(0)).double()
    denoiser = ExactDenoiser(MIXTURE, path)
    latent = invert(denoiser, x, solver=solver)
    end = path.sigma(torch.tensor(path.t_max).double())
    assert float((latent / end).std()) == pytest.approx(1.0, abs=0.2)
    back = generate(denoiser, latent, solver=solver)
    error = (back - x).square().mean()
    assert -10 * torch.log10(error / 4) > 30, "PSNR over a range of 2, in dB"
    if solver is None:
        torch.testing.assert_close(back, x, rtol=0, atol=1e-3)


def test_interpolation_goes_from_one_to_the_other_through_data():
    denoiser = ExactDenoiser(MIXTURE, LinearPath(1e-3))
    a, b = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 1.0]]).double()
    between = interpolate(denoiser, a, b, 9)
    assert between.shape == (9, 1, 2)
    torch.testing.assert_close(between[0], a, rtol=0, atol=1e-3)
    torch.testing.assert_close(between[-1], b, rtol=0, atol=1e-3)
    assert (between.norm(dim=2) > 0.6).all(), (
        "along the circle, where a straight line would pass at 0.7 and nothing lies"
    )


def test_refuses_what_makes_no_sense():
    denoiser, x = ExactDenoiser(MIXTURE, LinearPath()), torch.zeros(2, 2)
    with pytest.raises(UserError, match=r"strength: got 1.5, expected a number in \[0, 1\]"):
        image_to_image(denoiser, x, 1.5, solver=Heun(5), rng=RandomStreams(0, 2))
    with pytest.raises(UserError, match="resamples: got 0"):
        inpaint(denoiser, x, torch.ones(2).bool(), resamples=0, rng=RandomStreams(0, 2))
    with pytest.raises(UserError, match="solver: got 'DDIM', expected a solver of the probability-flow ODE"):
        invert(denoiser, x, solver=DDIM(5))
    with pytest.raises(UserError, match="num: got 1"):
        interpolate(denoiser, x, x, 1)
