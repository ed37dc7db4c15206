"""Log-likelihoods by the probability-flow ODE against the truth of mixtures."""

import math

import pytest
import torch

from genlab.core import ModalitySpec, RandomStreams, UserError
from genlab.probability import (
    CosinePath,
    EDMPath,
    EightGaussians,
    ExactDenoiser,
    GaussianMixture,
    LinearBetaPath,
    LinearPath,
    SubVPPath,
    VEPath,
)
from genlab.solvers import (
    Ancestral,
    DormandPrince,
    DPMSolverPP,
    Euler,
    GivenGrid,
    Heun,
    KarrasGrid,
    LogSNRGrid,
)
from genlab.solvers.dequantisation import UniformDequantisation, VariationalDequantisation
from genlab.solvers.likelihood import dequantised_log_prob, flow_log_prob

PATHS = [LinearPath(1e-3), CosinePath(), LinearBetaPath(), SubVPPath(), VEPath(), EDMPath()]
MIXTURE = EightGaussians()
DATA = MIXTURE.sample(200, torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("path", PATHS)
def test_log_likelihood_is_the_truth(path):
    denoiser = ExactDenoiser(MIXTURE, path)
    answer = flow_log_prob(denoiser, DATA, trace="exact")
    end = torch.full((len(DATA),), path.t_max, dtype=torch.float64)
    # What the prior lacks of x_T's law is the path's, not the solver's: it is stated apart.
    mismatch = denoiser.log_prob(answer.latent, end) - answer.log_prior
    truth = MIXTURE.log_prob(DATA)
    assert float((answer.nats + mismatch).mean()) == pytest.approx(float(truth.mean()), abs=0.01)
    assert abs(float(mismatch.mean())) < (0.01 if path.alpha(end[:1]) < 0.1 else 0.05)


@pytest.mark.parametrize(("solver", "tolerance"), [(Heun(150), 0.01), (Euler(900), 0.05)])
def test_fixed_steps(solver, tolerance):
    answer = flow_log_prob(ExactDenoiser(MIXTURE, LinearPath(1e-3)), DATA[:50], solver=solver, trace="exact")
    truth = MIXTURE.log_prob(DATA[:50])
    assert float(answer.nats.mean()) == pytest.approx(float(truth.mean()), abs=tolerance)


def test_fixed_steps_on_a_grid_that_ends_at_t_min():
    for grid in (KarrasGrid(), LogSNRGrid()):
        times = Heun(10, grid).flow_times(EDMPath())
        assert times[-1] == EDMPath().t_min
        assert (times.diff() < 0).all()
        assert len(times) == 10


def test_a_grid_that_begins_at_less_noise_has_the_prior_of_that_noise():
    path = EDMPath()
    denoiser = ExactDenoiser(MIXTURE, path)
    answer = flow_log_prob(denoiser, DATA[:50], solver=Heun(150, KarrasGrid(sigma_max=5.0)), trace="exact")
    end = torch.full((50,), 5.0 / 80, dtype=torch.float64)
    mismatch = denoiser.log_prob(answer.latent, end) - answer.log_prior
    truth = float(MIXTURE.log_prob(DATA[:50]).mean())
    assert float((answer.nats + mismatch).mean()) == pytest.approx(truth, abs=0.01)
    assert abs(float(mismatch.mean())) < 0.05


def test_a_grid_that_begins_among_data_has_no_likelihood():
    with pytest.raises(UserError, match=r"grid: got .a first time of 0\.3, where sigma / alpha is 0\.429"):
        flow_log_prob(
            ExactDenoiser(MIXTURE, LinearPath(1e-3)),
            DATA[:5],
            solver=Heun(2, GivenGrid([0.3, 0.1, 0.0])),
            trace="exact",
        )


def test_hutchinsons_estimate_is_unbiased():
    denoiser, x = ExactDenoiser(MIXTURE, LinearPath(1e-3)), DATA[:1].repeat(400, 1)
    solver = DormandPrince(1e-4, 1e-4)
    exact = flow_log_prob(denoiser, x[:1], solver=solver, trace="exact").nats
    estimates = flow_log_prob(denoiser, x, solver=solver, rng=RandomStreams(0, 400)).nats
    error = float(estimates.std()) / 20
    assert float(estimates.mean()) == pytest.approx(float(exact), abs=4 * error + 1e-3)
    both = flow_log_prob(denoiser, x, solver=solver, num_probes=8, rng=RandomStreams(0, 400)).nats
    assert float(both.std()) < 0.6 * float(estimates.std())


def test_works_in_inference_mode_and_not_across_the_batch():
    denoiser = ExactDenoiser(MIXTURE, CosinePath())
    with torch.inference_mode():
        whole = flow_log_prob(denoiser, DATA[:20].clone(), rng=RandomStreams(5, 20)).nats
    parts = [
        flow_log_prob(denoiser, x, rng=rng).nats
        for x, rng in zip(DATA[:20].split(6), RandomStreams(5, 20).split(6), strict=True)
    ]
    torch.testing.assert_close(whole, torch.cat(parts), rtol=0, atol=1e-8)


def test_levels_of_a_uniform_density_have_their_share():
    """Data that are spread evenly over 4 levels in one dimension have log-probability -log 4, less the bound's gap."""
    spec = ModalitySpec((1,), num_levels=4)
    grid = torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64).double()[:, None]
    mixture = GaussianMixture(grid.tolist(), scale=1 / 64)
    x = spec.values(torch.arange(4).repeat(100)).double()[:, None]
    nats = dequantised_log_prob(
        ExactDenoiser(mixture, LinearPath(1e-4)),
        x,
        UniformDequantisation(spec),
        rng=RandomStreams(0, 400),
        trace="exact",
    )
    assert float(nats.mean()) == pytest.approx(-math.log(4), abs=0.03)


def test_variational_dequantisation_is_a_density_and_learns_what_is_left():
    """Data whose density leans to one side of each bin: a learned q finds it, and its bound is tighter."""
    torch.manual_seed(0)
    spec = ModalitySpec((1, 1, 1), num_levels=4)
    means = spec.values(torch.arange(4)) - 0.15
    flat = ExactDenoiser(GaussianMixture(means[:, None].tolist(), scale=0.05), LinearPath(1e-3))

    class Images:
        """The same, of images of one pixel."""

        path = flat.path

        def __call__(self, x_t, t, condition=None):
            estimate = flat(x_t.flatten(1), t)
            return type(estimate)(estimate.x_0.view_as(x_t), estimate.eps.view_as(x_t))

    q = VariationalDequantisation(spec, channels=8)
    x = spec.values(torch.arange(4).repeat(64)).view(-1, 1, 1, 1)
    # log q integrates to one: E_q[1 / q] is the bin's width.
    log_q = q(x, RandomStreams(0, len(x)))[1].detach()
    assert float((-log_q).exp().mean()) == pytest.approx(spec.bin_width, rel=0.1)
    optimizer = torch.optim.Adam(q.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        q.loss(Images(), x)[0].mean().backward()
        optimizer.step()
    settings = {"rng": RandomStreams(1, len(x)), "trace": "exact", "solver": Heun(60)}
    with torch.no_grad():
        learned = dequantised_log_prob(Images(), x, q, **settings).mean()
        uniform = dequantised_log_prob(Images(), x, UniformDequantisation(spec), **settings).mean()
    assert float(uniform) < float(learned) - 0.5
    assert float(learned) < -math.log(4) + 0.02


@pytest.mark.parametrize("solver", [Ancestral(10), DPMSolverPP(10)])
def test_a_likelihood_of_a_solver_that_has_none_is_refused(solver):
    with pytest.raises(UserError, match="expected a solver of the probability-flow ODE; pass DormandPrince"):
        flow_log_prob(ExactDenoiser(MIXTURE, LinearPath()), DATA, solver=solver, trace="exact")


def test_a_random_trace_needs_streams_and_dequantisation_needs_levels():
    with pytest.raises(UserError, match="rng: got None"):
        flow_log_prob(ExactDenoiser(MIXTURE, LinearPath()), DATA)
    with pytest.raises(UserError, match="expected data with levels"):
        UniformDequantisation(ModalitySpec((1, 8, 8)))
    with pytest.raises(UserError, match="expected images"):
        VariationalDequantisation(ModalitySpec((3,), num_levels=4))
