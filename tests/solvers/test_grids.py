"""Grids of times, on every path."""

import pytest
import torch

from genlab.core import RandomStreams, UserError
from genlab.probability import (
    CosinePath,
    EDMPath,
    EightGaussians,
    ExactDenoiser,
    LinearBetaPath,
    LinearPath,
    SubVPPath,
    VEPath,
)
from genlab.solvers import CosineGrid, GivenGrid, Heun, KarrasGrid, LogSNRGrid, PowerGrid, ShiftedGrid

PATHS = [
    LinearPath(),
    LinearPath(0.01, 0.99),
    CosinePath(),
    LinearBetaPath(),
    SubVPPath(),
    VEPath(),
    EDMPath(),
]
GRIDS = [PowerGrid(), CosineGrid(), KarrasGrid(), LogSNRGrid(), ShiftedGrid(), ShiftedGrid(2.0, CosineGrid())]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_grids_fall_from_noise_to_data_within_the_paths_times(grid, path, num_steps):
    cosine = isinstance(getattr(grid, "grid", grid), CosineGrid)
    if cosine and isinstance(path, (VEPath, EDMPath)):
        pytest.skip("its levels are made for paths that end in noise of the data's size")
    times = grid.times(path, num_steps)
    assert times.shape == (num_steps + 1,)
    assert times.dtype == torch.float64
    assert (times.diff() < 0).all()
    assert times[0] <= path.t_max
    assert times[-2] >= path.t_min
    assert times[-1] == 0


@pytest.mark.parametrize("path", PATHS[1:])
def test_noise_level_grids_begin_and_end_at_the_paths_own_levels(path):
    for grid in (KarrasGrid(), LogSNRGrid()):
        times = grid.times(path, 12)
        assert float(times[0]) == pytest.approx(path.t_max)
        if path.t_min:
            assert float(times[-2]) == pytest.approx(path.t_min)


def test_karras_levels_are_the_papers_on_every_path():
    expected = torch.linspace(80 ** (1 / 7), 0.002 ** (1 / 7), 18, dtype=torch.float64) ** 7
    for path in (LinearPath(), EDMPath(), VEPath(0.001, 100.0), CosinePath(1e-4, 0.9999)):
        times = KarrasGrid(7, 0.002, 80.0).times(path, 18)[:-1]
        torch.testing.assert_close(path.noise_level(times), expected, rtol=1e-8, atol=0)


def test_shift_multiplies_the_noise_level_of_the_linear_path():
    path = LinearPath()
    plain, shifted = PowerGrid().times(path, 10)[1:-1], ShiftedGrid(2.5).times(path, 10)[1:-1]
    torch.testing.assert_close(path.noise_level(shifted), 2.5 * path.noise_level(plain))


def test_walks_begin_with_noise_alone_or_are_refused():
    """x_t is drawn as noise of the first time's level: in the middle of a path that would be silently wrong."""

    def first(solver, path):
        return next(solver.states(ExactDenoiser(EightGaussians(), path), (2,), rng=RandomStreams(0, 4000)))

    path, middle = EDMPath(), Heun(2, GivenGrid([0.3, 0.1, 0.0]))
    assert float(first(Heun(8, KarrasGrid(sigma_max=5.0)), path).std()) == pytest.approx(5.0, rel=0.03)
    for act in (middle.check, lambda path: first(middle, path)):
        with pytest.raises(UserError, match=r"a first time of 0\.3, where sigma / alpha is 0\.429") as error:
            act(LinearPath(1e-3))
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"grid: got .a first time"):
        Heun(8, KarrasGrid(sigma_max=1.0)).check(path)
    # A path whose own end has little noise is its author's choice, not the grid's.
    Heun(8, KarrasGrid()).check(EDMPath(sigma_max=1.0))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: GivenGrid([1.2, 0.0]), r"times: got \[1.2, 0.0\], expected two or more in \[0, 1\]"),
        (lambda: GivenGrid([1.0, -0.1]), "times: got"),
        (lambda: GivenGrid([0.5, 0.7, 0.0]).times(LinearPath(), 2), "grid: got"),
        (lambda: GivenGrid([1.0, 0.5]).times(LinearPath(), 1), "grid: got"),
        (lambda: GivenGrid([1.0, 0.5, 0.0]).times(LinearPath(), 3), "num_steps: got 3, expected 2"),
        (lambda: GivenGrid([1.0, 0.5, 0.0]).times(LinearPath(t_max=0.9), 2), "from at most 0.9 to 0"),
        (lambda: KarrasGrid(sigma_max=90.0).times(EDMPath(), 5), "grid: got"),
        (lambda: LogSNRGrid(sigma_min=0.001).times(EDMPath(), 5), "grid: got"),
        (lambda: KarrasGrid(0.5), "rho: got 0.5"),
        (lambda: KarrasGrid(sigma_min=1.0, sigma_max=0.5), "sigma_min, sigma_max: got"),
        (lambda: LogSNRGrid(sigma_min=0.0), "sigma_min, sigma_max: got"),
        (lambda: ShiftedGrid(0.0), "shift: got 0.0"),
        (lambda: CosineGrid().times(EDMPath(), 1000000), "grid: got"),
        (lambda: PowerGrid().times(LinearBetaPath(), 1001), "at most 1000"),
    ],
)
def test_what_is_no_grid_is_refused_in_one_line(make, line):
    with pytest.raises(UserError, match=line) as error:
        make()
    assert "\n" not in str(error.value)


def test_what_becomes_of_a_grids_times_does_not_change_the_grid():
    grid, path = PowerGrid(), LinearPath()
    grid.times(path, 4).zero_()
    assert grid.times(path, 4).tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert len(grid.times(path, 2)) == 3
    assert grid.times(LinearPath(t_max=0.5), 4)[0] == 0.5
