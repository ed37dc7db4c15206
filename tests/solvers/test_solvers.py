"""Solvers against known answers: Gaussian data, whose denoiser and whose flow are closed formulas."""

import itertools

import pytest
import torch

from genlab.core import RandomStreams, UserError, expand_like
from genlab.probability import (
    CosinePath,
    DataPrediction,
    Denoiser,
    EDMPath,
    Estimate,
    LinearBetaPath,
    LinearPath,
    NoisePrediction,
    VelocityPrediction,
)
from genlab.solvers import (
    DDIM,
    Ancestral,
    DormandPrince,
    DPMSolverPP,
    DPMSolverPPSDE,
    EDMStochastic,
    Euler,
    EulerMaruyama,
    Heun,
    LogSNRGrid,
    PowerGrid,
    PredictorCorrector,
    UniPC,
    heun_step,
    is_deterministic,
    solver_factories,
)
from genlab.solvers.ode import flow_field

PATHS = [LinearPath(t_min=1e-4), CosinePath(), LinearBetaPath()]


class Recorder:
    """A denoiser that counts what it is asked."""

    def __init__(self, denoiser):
        self.denoiser, self.path, self.calls, self.times = denoiser, denoiser.path, 0, []

    def __call__(self, x_t, t, condition=None):
        self.calls += 1
        self.times.append(t[0].item())
        return self.denoiser(x_t, t, condition)


class GaussianDenoiser:
    """E[x_0 | x_t] and E[eps | x_t] for data N(mean, std^2)."""

    def __init__(self, path, mean=0.5, std=0.3):
        self.path, self.mean, self.std = path, mean, std

    def __call__(self, x_t, t, condition=None):
        alpha, sigma = expand_like(self.path.alpha(t), x_t), expand_like(self.path.sigma(t), x_t)
        residual = (x_t - alpha * self.mean) / (alpha**2 * self.std**2 + sigma**2)
        return Estimate(self.mean + alpha * self.std**2 * residual, sigma * residual)

    def flow(self, x, t):
        """The probability-flow ODE's solution at t = 0 from x at t: it keeps the number of deviations from the mean."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        return self.mean + self.std * (x - alpha * self.mean) / (alpha**2 * self.std**2 + sigma**2).sqrt()


def walk(solver, denoiser, x):
    """Where the solver's steps lead from x, without noise of its own."""
    times = solver.grid.times(denoiser.path, solver.num_steps)
    return list(solver.walk(denoiser, x, times, rng=None))[-1]


@pytest.mark.parametrize(("solver", "order"), [(Euler, 1), (DDIM, 1), (Heun, 2)])
@pytest.mark.parametrize("path", [LinearPath(), CosinePath(t_max=1.0)])
def test_order_of_convergence(solver, order, path):
    denoiser = GaussianDenoiser(path)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    exact = denoiser.flow(x, torch.tensor(path.t_max, dtype=torch.float64))
    errors = [(walk(solver(n), denoiser, x) - exact).abs().max().item() for n in (40, 80, 160)]
    for coarse, fine in itertools.pairwise(errors):
        assert coarse / fine == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "solver", [Ancestral(200), Ancestral(200, variance="forward"), DDIM(200, eta=0.5), DDIM(200)]
)
def test_moments_of_gaussian_data(path, solver):
    samples = solver(GaussianDenoiser(path), (1,), rng=RandomStreams(0, 4000))
    # 4,000 samples know the mean to 0.005 and the deviation to 0.0035; 200 steps of first order bias both a little.
    assert samples.mean() == pytest.approx(0.5, abs=0.02)
    assert samples.std() == pytest.approx(0.3, abs=0.025)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "solver",
    [
        Ancestral(7),
        DDIM(7, eta=0.3),
        Euler(7),
        Heun(7),
        DPMSolverPP(7, order=3),
        DPMSolverPPSDE(7),
        UniPC(7, order=3),
        EDMStochastic(7, LogSNRGrid(0.02), churn=2.0),
        PredictorCorrector(DDIM(7), num_corrections=2),
        DormandPrince(),
    ],
)
def test_number_of_evaluations_is_as_stated_and_none_is_at_a_singular_time(solver, path):
    denoiser = Recorder(GaussianDenoiser(path))
    samples = solver(denoiser, (2,), rng=RandomStreams(0, 3))
    assert samples.shape == (3, 2)
    if isinstance(solver, DormandPrince):  # each sample has its own number, of which it reports the mean
        assert 14 <= solver.nfe <= denoiser.calls
    else:
        assert denoiser.calls == solver.nfe == solver.protocol()["nfe"]
    assert path.t_min * (1 - 1e-6) <= min(denoiser.times) <= max(denoiser.times) <= path.t_max + 1e-6


@pytest.mark.parametrize(
    "solver",
    [
        Ancestral(5),
        DDIM(5, eta=1.0),
        Heun(5),
        DPMSolverPPSDE(5),
        UniPC(5),
        EDMStochastic(5, churn=3.0),
        PredictorCorrector(EulerMaruyama(20)),
    ],
)
def test_a_sample_depends_on_its_own_stream_alone(solver):
    denoiser = GaussianDenoiser(CosinePath())
    together = solver(denoiser, (3,), rng=RandomStreams(7, 6))
    apart = torch.cat([solver(denoiser, (3,), rng=rng) for rng in RandomStreams(7, 6).split(2)])
    torch.testing.assert_close(together, apart)
    assert (solver(denoiser, (3,), rng=RandomStreams(8, 6)) - together).abs().max() > 0.01


def test_states_begin_with_noise_and_end_with_the_answer():
    denoiser, solver = GaussianDenoiser(LinearPath()), Heun(5)
    states = list(solver.states(denoiser, (2,), rng=RandomStreams(0, 4)))
    assert len(states) == 6
    torch.testing.assert_close(states[0], RandomStreams(0, 4).normal((2,)))
    torch.testing.assert_close(states[-1], solver(denoiser, (2,), rng=RandomStreams(0, 4)))


def test_a_walk_may_start_anywhere():
    denoiser, solver = GaussianDenoiser(CosinePath()), Heun(60)
    x, times = torch.linspace(-1, 1, 5, dtype=torch.float64), torch.linspace(0.4, 0.0, 61).double()
    *_, end = solver.walk(denoiser, x, times, rng=RandomStreams(0, 5))
    torch.testing.assert_close(end, denoiser.flow(x, times[0]), rtol=1e-3, atol=1e-3)


def test_ancestral_sampling_is_ddim_with_eta_1():
    denoiser = GaussianDenoiser(LinearBetaPath())
    ancestral = Ancestral(20)(denoiser, (3,), rng=RandomStreams(0, 8))
    torch.testing.assert_close(DDIM(20, eta=1.0)(denoiser, (3,), rng=RandomStreams(0, 8)), ancestral)


def test_euler_on_the_linear_path_is_ddim():
    denoiser = GaussianDenoiser(LinearPath())
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(walk(Euler(13), denoiser, x), walk(DDIM(13), denoiser, x))


@pytest.mark.parametrize("path", [EDMPath(), LinearBetaPath()])
def test_heuns_step_is_one_step_whichever_way_it_is_asked(path):
    """In the noise level, for one time and for each sample's own; in t, where sigma is linear in it; as a field."""
    denoiser, x = GaussianDenoiser(path), torch.linspace(-2, 2, 9, dtype=torch.float64)
    expected = heun_step(denoiser, x, torch.full_like(x, 0.5), torch.full_like(x, 0.4))
    answers = [EDMStochastic().step(denoiser, x, 0.5, 0.4, None, None)]
    if isinstance(path, EDMPath):
        times = torch.tensor([0.5, 0.4], dtype=torch.float64)
        answers += [Heun().step(denoiser, x, 0.5, 0.4, None, None)]
        answers += [Heun().integrate(flow_field(denoiser), x, times)[0]]
    for answer in answers:
        torch.testing.assert_close(answer, expected, rtol=1e-9, atol=1e-9)


def test_one_prediction_is_as_good_as_another():
    path = CosinePath()
    exact = GaussianDenoiser(path)
    answers = []
    for prediction in (NoisePrediction(), DataPrediction(), VelocityPrediction()):

        def network(x, t, c, prediction=prediction):
            estimate = exact(x, t)
            return prediction.target(path, estimate.x_0, estimate.eps, t)

        denoiser = Denoiser(network, path, prediction)
        answers.append(walk(Heun(10), denoiser, torch.linspace(-2, 2, 9, dtype=torch.float64)))
    torch.testing.assert_close(answers[0], answers[1])
    torch.testing.assert_close(answers[0], answers[2])


class Mixture:
    """The exact denoiser of a mixture of Gaussians at +-1 with deviation 0.1 and weights 1/4 and 3/4."""

    def __init__(self, path):
        self.path = path

    def __call__(self, x_t, t, condition=None):
        parts = [GaussianDenoiser(self.path, mean, 0.1) for mean in (-1.0, 1.0)]
        alpha, sigma = expand_like(self.path.alpha(t), x_t), expand_like(self.path.sigma(t), x_t)
        variance = alpha**2 * 0.01 + sigma**2
        logits = torch.stack([-((x_t - alpha * p.mean) ** 2) / (2 * variance) for p in parts])
        weight = torch.softmax(logits + torch.tensor([0.25, 0.75]).log().view(2, 1, 1), 0)
        estimates = [p(x_t, t) for p in parts]
        x_0 = sum(w * e.x_0 for w, e in zip(weight, estimates, strict=True))
        eps = sum(w * e.eps for w, e in zip(weight, estimates, strict=True))
        return Estimate(x_0, eps)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("solver", [Heun(60), Ancestral(250), DDIM(150)])
def test_moments_of_a_gaussian_mixture(path, solver):
    samples = solver(Mixture(path), (1,), rng=RandomStreams(1, 4000)).squeeze()
    right = samples[samples > 0]
    assert len(right) / 4000 == pytest.approx(0.75, abs=0.03)
    assert right.mean() == pytest.approx(1.0, abs=0.02)
    assert right.std() == pytest.approx(0.1, abs=0.015)
    assert samples[samples < 0].mean() == pytest.approx(-1.0, abs=0.02)


@pytest.mark.parametrize("name", ["heun", "predictor_corrector", "edm_stochastic", "dpmpp_2m"])
def test_with_other_steps_it_counts_what_it_evaluates(name):
    path, solver = LinearPath(1e-3, 0.999), solver_factories()[name](100, None)
    before, denoiser = solver.protocol(), Recorder(GaussianDenoiser(LinearPath(1e-3, 0.999)))
    fewer = solver.with_steps(10)
    fewer(denoiser, (1,), rng=RandomStreams(0, 2))
    fewer.check(path)
    assert denoiser.calls == fewer.nfe == solver_factories()[name](10, None).nfe
    assert fewer.protocol() == solver_factories()[name](10, None).protocol()
    assert solver.protocol() == before


def test_evaluations_follow_the_grid():
    denoiser = Recorder(GaussianDenoiser(LinearPath()))
    Euler(4, PowerGrid(2))(denoiser, (1,), rng=RandomStreams(0, 1))
    assert denoiser.times == [1.0, 0.5625, 0.25, 0.0625]


def test_refuses_impossible_steps():
    with pytest.raises(UserError, match="num_steps"):
        Heun(num_steps=0)
    with pytest.raises(UserError, match="at most 1000"):
        Ancestral(num_steps=1001).check(LinearBetaPath())
    Ancestral(num_steps=1000).check(LinearBetaPath())
    with pytest.raises(UserError, match="at most 31"):
        DDIM(32, PowerGrid(2)).check(LinearBetaPath())
    with pytest.raises(UserError, match="power"):
        PowerGrid(0.5)
    with pytest.raises(UserError, match="eta"):
        DDIM(eta=1.5)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: DPMSolverPP(order=4), "order: got 4"),
        (lambda: DPMSolverPPSDE(eta=-1.0), "eta: got -1.0"),
        (lambda: UniPC(num_steps=-1), "num_steps: got -1"),
        (lambda: UniPC(order=0), "order: got 0"),
        (lambda: EDMStochastic(churn=-1.0), "churn: got -1.0"),
        (lambda: EDMStochastic(s_min=2.0, s_max=1.0), "s_min, s_max: got"),
        (lambda: PredictorCorrector(snr=0.0), "snr: got 0.0"),
        (lambda: PredictorCorrector(num_corrections=0), "num_corrections: got 0"),
        (lambda: DormandPrince(rtol=0.0), "rtol, atol: got"),
        (
            lambda: EulerMaruyama().check(LinearPath()),
            r"solver: got 'EulerMaruyama on LinearPath\(t_max=1.0\)'",
        ),
        (lambda: PredictorCorrector().check(LinearPath()), "solver: got 'EulerMaruyama on LinearPath"),
        (
            lambda: DormandPrince().check(LinearBetaPath(t_min=0.0)),
            "solver: got 'DormandPrince on LinearBeta",
        ),
    ],
)
def test_refuses_impossible_settings(make, line):
    with pytest.raises(UserError, match=line):
        make()


def test_noise_of_order_one_is_ddims_with_eta_1():
    """SDE-DPM-Solver++ of order 1 and DDPM's posterior are the same step."""
    denoiser = GaussianDenoiser(LinearBetaPath())
    sde = DPMSolverPPSDE(20, order=1)(denoiser, (3,), rng=RandomStreams(0, 8))
    torch.testing.assert_close(sde, DDIM(20, eta=1.0)(denoiser, (3,), rng=RandomStreams(0, 8)))


class OwnNoise:
    """The denoiser of data N(0, 1) whose noise is coupled as optimal transport does it: each x_0 is its own noise."""

    path = LinearPath(1e-3, 0.999)

    def __call__(self, x_t, t, condition=None):
        return Estimate(x_t, x_t)


STEPPED = {name: make(40, None) for name, make in solver_factories().items() if "consistency" not in name}
STEPPED |= {"ddim, eta 1": DDIM(40, eta=1.0), "edm, churn 20": EDMStochastic(40, churn=20.0)}
STEPPED |= {
    "sde, eta 0": DPMSolverPPSDE(40, eta=0.0),
    "langevin after euler": PredictorCorrector(Euler(40), snr=0.5),
}


@pytest.mark.parametrize("name", STEPPED)
def test_a_solver_says_whether_coupled_noise_leads_it_astray(name):
    """Without noise in its steps the variance of 1 is kept; with it, as -eps is no score then, it is far below."""
    solver = STEPPED[name]
    variance = float(solver(OwnNoise(), (1,), rng=RandomStreams(0, 2000)).var())
    assert solver.needs_score == (not is_deterministic(solver, OwnNoise.path))
    assert variance < 0.6 if solver.needs_score else abs(variance - 1) < 0.1
