"""Consistency: the grid of levels, what an exact consistency function loses, what it samples, refusals."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from genlab.core import DataSpec, Frozen, ModalitySpec, RandomStreams, UserError
from genlab.families import Diffusion
from genlab.networks import MLP
from genlab.objectives import ConsistencyDistillation, ConsistencyTraining, Denoising, Discretisation
from genlab.probability import (
    DataPrediction,
    Denoiser,
    EDMPath,
    EDMPrediction,
    EightGaussians,
    ExactDenoiser,
    LinearPath,
    NoisePrediction,
    VelocityPrediction,
)
from genlab.probability.transport import sliced_wasserstein
from genlab.solvers import Heun, MultistepConsistency, heun_step

STD = 0.7
SPEC = DataSpec("gaussian", {"vector": ModalitySpec((2,))})
PATHS = [(EDMPath(), EDMPrediction(STD)), (LinearPath(), VelocityPrediction())]


class OriginPrediction(NoisePrediction):
    """eps such that the estimate of x_0 is the network's output."""

    def estimate(self, path, pred, x_t, t):
        level = path.noise_level(t)[:, None]
        return super().estimate(path, (x_t / path.alpha(t)[:, None] - pred) / level, x_t, t)


def origin(path):
    """The consistency function of data N(0, STD^2): x_0 = STD (x / alpha) / sqrt(STD^2 + level^2)."""
    return Denoiser(
        lambda x, t, c: factor(path, t) ** 0.5 * x / path.alpha(t)[:, None], path, OriginPrediction()
    )


def mean(path):
    """The posterior mean, a diffusion model's answer."""
    return Denoiser(lambda x, t, c: factor(path, t) * x / path.alpha(t)[:, None], path, OriginPrediction())


def factor(path, t):
    return STD**2 / (STD**2 + path.noise_level(t)[:, None] ** 2)


class Teacher(nn.Module):
    """The exact denoiser of N(0, STD^2)."""

    spec = SPEC

    def __init__(self, path):
        super().__init__()
        self.path, self.unused = path, nn.Parameter(torch.zeros(1))

    def flow_step(self, *step):
        return heun_step(mean(self.path), *step)


def test_levels_are_neighbours_that_get_finer():
    levels = Discretisation(total=8, first=2, last=16)
    counts = []
    for _ in range(10):
        counts.append(int(levels.intervals(levels.batches)))
        low, high, lowest = levels(512)
        assert (low < high).all()
        assert torch.equal(lowest, low < 0.00201)
        assert low.min() >= 0.00199
        assert high.max() <= 80.1
        u = torch.stack([low, high]) ** (1 / 7)
        i = (u - 0.002 ** (1 / 7)) / (80 ** (1 / 7) - 0.002 ** (1 / 7)) * counts[-1]
        assert torch.allclose(i, i.round(), atol=1e-3)
        assert torch.allclose(i[1] - i[0], torch.ones(512), atol=1e-3)
        levels.count_step()
    assert counts == [2, 2, 4, 4, 8, 8, 16, 16, 16, 16]
    levels.batches.zero_()
    levels.eval()
    low, high, _ = levels(512)
    assert levels.intervals(levels.batches) == 16  # the finest: losses of all steps are on one grid
    assert torch.allclose(
        (high ** (1 / 7) - low ** (1 / 7)) * 16, u.new_tensor(80 ** (1 / 7) - 0.002 ** (1 / 7))
    )
    assert levels.batches == 0
    levels.batches.fill_(10)
    again = Discretisation(total=8, first=2, last=16)
    again.load_state_dict(levels.state_dict())
    assert again.batches == 10


@pytest.mark.parametrize("parts", [1, 3])
def test_steps_are_counted_and_not_the_batches_that_they_accumulate(parts):
    objective = ConsistencyTraining(Discretisation(total=4, first=2, last=4))
    model = Diffusion(SPEC, partial(MLP, width=8), objective=objective, solver=MultistepConsistency(1))
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=4, accumulate_grad_batches=parts, logger=False, barebones=True
    )
    trainer.fit(model, torch.utils.data.DataLoader([{"vector": torch.zeros(2)}] * 24, batch_size=2))
    assert (trainer.global_step, int(objective.levels.batches)) == (4, 4)


def test_levels_have_the_probabilities_of_the_paper():
    torch.manual_seed(0)
    levels = Discretisation(total=1, first=5, last=5)
    low, high, _ = levels(200_000)
    cdf = lambda x: torch.special.ndtr((x.log() + 1.1) / 2)  # noqa: E731
    grid = low.unique()
    tops = torch.stack([high[low == x][0] for x in grid])
    shares = torch.stack([(low == x).double().mean() for x in grid])
    wanted = cdf(tops) - cdf(grid)
    assert torch.allclose(shares, (wanted / wanted.sum()).double(), atol=4e-3)


@pytest.mark.parametrize(("path", "prediction"), PATHS)
def test_the_exact_function_is_consistent_and_the_posterior_mean_is_not(path, prediction):
    levels = Discretisation(total=1, first=200, last=200)
    objective = ConsistencyDistillation(levels, Frozen(model=Teacher(path)))
    objective.prepare(SPEC, path, prediction)
    x_0 = STD * torch.randn(4000, 2)
    torch.manual_seed(0)
    exact, terms = objective(origin(path), x_0)
    torch.manual_seed(0)
    other, _ = objective(mean(path), x_0)
    assert exact.mean() < 0.02 * other.mean()
    assert terms["levels"] == 200


def test_training_without_a_teacher_agrees_with_distillation_in_the_mean():
    """E of x_s given x_t is the Euler step of the ODE (Song et al. 2023, theorem 2)."""
    path = EDMPath()
    torch.manual_seed(0)
    x_0, eps = STD * torch.randn(400_000, 1, dtype=torch.float64), torch.randn(400_000, 1).double()
    t, s = (path.time_of_noise_level(torch.full((400_000,), x).double()) for x in (1.0, 0.9))
    x_t = path.sample(x_0, eps, t)
    objective = ConsistencyTraining(Discretisation(total=1))
    x_s = objective.previous(path, x_0, eps, t, s, None)
    near = (x_t - 1).abs() < 0.05
    x_0_mean = x_t[near] * STD**2 / (STD**2 + 1)
    euler = x_t[near] + (0.9 - 1.0) * (x_t[near] - x_0_mean)
    assert x_s[near].mean() == pytest.approx(euler.mean().item(), abs=2e-3)


@pytest.mark.parametrize("num_steps", [1, 2, 4])
@pytest.mark.parametrize("path", [EDMPath(), LinearPath()])
def test_samples_of_the_exact_function_have_the_law_of_the_data(path, num_steps):
    solver = MultistepConsistency(num_steps)
    assert solver.nfe == num_steps
    x = solver(origin(path), (1,), rng=RandomStreams(0, 40_000))
    assert x.std().item() == pytest.approx(STD, rel=0.02)
    assert x.mean().item() == pytest.approx(0, abs=0.02)


def test_refusals():
    levels = Discretisation(total=1)
    with pytest.raises(UserError, match="prediction: got 'DataPrediction', expected one whose x_0 is x_t"):
        ConsistencyTraining(levels).prepare(SPEC, LinearPath(), DataPrediction())
    with pytest.raises(UserError, match="sigma_min, sigma_max: got"):
        ConsistencyTraining(levels).prepare(SPEC, EDMPath(sigma_max=50), EDMPrediction())
    objective = ConsistencyDistillation(levels, Frozen(model=Teacher(LinearPath())))
    with pytest.raises(UserError, match=r"teacher: got .*LinearPath.* own path"):
        objective.prepare(SPEC, *PATHS[0])
    other = Teacher(EDMPath())
    other.spec = DataSpec("another", SPEC.modalities)
    with pytest.raises(
        UserError, match=r"teacher: got 'a model of another \(2,\)', expected one of gaussian"
    ):
        ConsistencyDistillation(levels, Frozen(model=other)).prepare(SPEC, *PATHS[0])
    objective = ConsistencyDistillation(levels, Frozen(model=nn.Linear(1, 1)))
    with pytest.raises(UserError, match="teacher: got 'Linear', expected a diffusion model"):
        objective.prepare(SPEC, *PATHS[1])
    for wrong in ({"solver": Heun(2)}, {"solver": MultistepConsistency(2), "objective": Denoising()}):
        with pytest.raises(UserError, match="solver: got"):
            Diffusion(SPEC, MLP, **{"objective": ConsistencyTraining(levels), **wrong})
    model = Diffusion(SPEC, MLP, objective=ConsistencyTraining(levels), solver=MultistepConsistency(1))
    assert not model.has_log_prob
    for wrong in ({"total": 0}, {"first": 0}, {"first": 20}, {"sigma_min": 0}, {"std": 0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            Discretisation(**{"total": 10, "first": 4, "last": 8, **wrong})


class ExactTeacher(nn.Module):
    """The exact denoiser of eight Gaussians."""

    def __init__(self, path):
        super().__init__()
        self.spec, self.path, self.exact = SPEC, path, ExactDenoiser(EightGaussians(), path)

    def flow_step(self, *step):
        return heun_step(self.exact, *step)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["training", "distillation"])
def test_one_step_samples_eight_gaussians(kind: str):
    torch.manual_seed(0)
    density, path, num = EightGaussians(), EDMPath(), 500
    data, real = density.sample(20_000), density.sample(2000)
    levels = Discretisation(total=num, first=10, last=80 if kind == "training" else 40, mean=-0.5)
    distillation = ConsistencyDistillation(levels, Frozen(model=ExactTeacher(path)))
    objective = ConsistencyTraining(levels) if kind == "training" else distillation
    parts = {"path": path, "prediction": EDMPrediction(float(data.std())), "objective": objective}
    model = Diffusion(SPEC, MLP, **parts, solver=MultistepConsistency(1))
    distance = lambda: sliced_wasserstein(model.sample(2000, rng=RandomStreams(0, 2000)), real)  # noqa: E731
    untrained = distance()
    losses = []
    optimizer = torch.optim.Adam(model.network.parameters(), lr=2e-3, betas=(0.9, 0.99))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num)
    for step in range(1, num + 1):
        batch = {"vector": data[torch.randint(len(data), (256,))]}
        optimizer.zero_grad()
        model.losses("train", batch)["loss"].backward()
        nn.utils.clip_grad_norm_(model.network.parameters(), 1.0)
        optimizer.step()
        model.on_before_optimizer_step(optimizer)
        decay.step()
        if step % 100 == 0:  # as at a validation
            with torch.random.fork_rng(devices=[]), model.evaluating():
                torch.manual_seed(1)
                losses.append(model.losses("val", {"vector": real})["loss"].item())
    assert min(losses) == losses[-1]  # as it would not on the grid of each step
    floor = sliced_wasserstein(density.sample(2000), real)
    assert untrained > 0.5
    assert distance() < 2.5 * floor
