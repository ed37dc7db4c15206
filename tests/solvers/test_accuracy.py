"""Orders of the solvers, and their samples' distance to data, with the exact denoiser plugged in."""

import json

import pytest

from genlab.probability import CosinePath, EDMPath, LinearPath
from genlab.solvers import Ancestral, LogSNRGrid, PredictorCorrector, Solver, solver_factories
from tests.solvers import distances, orders
from tests.solvers.__main__ import README, RESULTS, renewed
from tests.solvers.entries import FIRST_ORDER, SOLVERS

ODE_SOLVERS = [name for name, entry in SOLVERS.items() if entry.order is not None and not entry.weak]
SDE_SOLVERS = [name for name, entry in SOLVERS.items() if entry.weak]
HIGHER_ORDER = [
    name for name, entry in SOLVERS.items() if entry.steps is not None and name not in FIRST_ORDER
]


@pytest.mark.parametrize("name", ODE_SOLVERS)
@pytest.mark.parametrize("path", [orders.ENDS[0], orders.ENDS[3]])
def test_order_of_the_ode_solvers_by_coupled_trajectories(name, path):
    assert orders.order_of(SOLVERS[name], path) == pytest.approx(SOLVERS[name].order, abs=0.2)


@pytest.mark.parametrize("name", SDE_SOLVERS)
@pytest.mark.parametrize("path", [LinearPath(0.01, 0.99), CosinePath(0.01, 0.99), EDMPath(0.02, 20.0)])
def test_weak_order_of_the_sde_solvers_by_exact_moments(name, path):
    make, order = SOLVERS[name].make, SOLVERS[name].order
    (mean_a, coarse), (mean_b, fine) = (orders.weak_errors(make(n), path) for n in (40, 80))
    assert orders.rates([coarse, fine])[0] == pytest.approx(order, abs=0.15)
    assert mean_b < 1e-12 or orders.rates([mean_a, mean_b])[0] == pytest.approx(order, abs=0.15)


def test_corrections_take_away_most_of_the_predictors_error():
    path, predictor = EDMPath(0.02, 20.0), Ancestral(40, LogSNRGrid())
    corrected = PredictorCorrector(predictor, snr=0.16, num_corrections=8)
    assert orders.weak_errors(corrected, path, draws=9)[1] < 0.5 * orders.weak_errors(predictor, path)[1]


def test_readmes_table_is_what_was_measured():
    readme = README.read_text()
    assert "<!-- solvers: accuracy -->" in readme
    assert renewed(readme) == readme, "run python -m tests.solvers --show"


def test_every_solver_is_measured():
    results = json.loads(RESULTS.read_text())
    assert list(results["solvers"]) == [name for name, entry in SOLVERS.items() if entry.steps is not None]
    classes = {type(entry.make(4)) for entry in SOLVERS.values()}
    missing = [name for name, make in solver_factories().items() if type(make(4, None)) not in classes]
    assert missing == ["multistep_consistency"]  # whose network is no denoiser


def test_what_was_measured_is_what_is_measured_now():
    results = json.loads(RESULTS.read_text())
    heun, euler = results["solvers"]["Heun"], results["solvers"]["Euler"]
    assert orders.order_of(SOLVERS["Heun"], LinearPath(0.01, 0.99)) == pytest.approx(
        heun["orders"]["LinearPath"]
    )
    found = distances.distance_to_data(SOLVERS["Euler"].make(100), distances.VEPath())
    assert found == pytest.approx(euler["swd"]["VEPath"], rel=1e-3)


def test_a_hundred_evaluations_of_higher_order_left_no_more_than_sampling_noise():
    results = json.loads(RESULTS.read_text())
    for name in HIGHER_ORDER:
        assert max(results["solvers"][name]["swd"].values()) <= results["noise"], name


@pytest.mark.slow
@pytest.mark.parametrize("path", distances.PATHS)
@pytest.mark.parametrize("name", HIGHER_ORDER)
def test_a_hundred_evaluations_leave_no_more_than_sampling_noise(name, path):
    solver: Solver = SOLVERS[name].make(SOLVERS[name].steps)
    assert distances.distance_to_data(solver, path) <= distances.floor()[1]


@pytest.mark.slow
def test_a_hundred_evaluations_of_first_order_stay_near_it():
    for name in FIRST_ORDER:
        solver = SOLVERS[name].make(SOLVERS[name].steps)
        assert distances.distance_to_data(solver, CosinePath()) <= 1.5 * distances.floor()[1]
