"""Reflow: a flow that is trained on another's pairs of noise and data is straighter, and needs fewer steps."""

from functools import partial

import pytest
import torch
from torch import Tensor

from genlab.core import DataSpec, ModalitySpec, RandomStreams
from genlab.families import Diffusion
from genlab.networks import MLP
from genlab.probability import Denoises, EightGaussians, ExactDenoiser, LinearPath
from genlab.probability.transport import sliced_wasserstein
from genlab.solvers import Euler, Heun

SPEC = DataSpec("pairs", {"vector": ModalitySpec((2,)), "noise": ModalitySpec((2,))})
DENSITY, STEPS, NUM = EightGaussians(), 20, 4000


@torch.no_grad()
def curvature(denoiser: Denoises) -> float:
    """E |x_1 - x_0 - v(x_t, t)|^2 along trajectories, S of Liu et al. 2023, eq. 4: 0 where they are straight."""
    states = torch.stack(list(Euler(STEPS).states(denoiser, (2,), rng=RandomStreams(1, 1000))))
    slopes = states.diff(dim=0) * STEPS
    return float((slopes - (states[-1] - states[0])).square().sum(2).mean())


@torch.no_grad()
def one_step(denoiser: Denoises, real: Tensor) -> float:
    return float(sliced_wasserstein(Euler(1)(denoiser, (2,), rng=RandomStreams(2, len(real))), real))


@pytest.mark.slow
def test_a_student_of_pairs_is_straighter_than_its_teacher():
    torch.manual_seed(0)
    teacher = ExactDenoiser(DENSITY, LinearPath(1e-3))
    with torch.no_grad():
        x_0 = Heun(40)(teacher, (2,), rng=RandomStreams(0, NUM))
    eps = RandomStreams(0, NUM).normal((2,))  # what the solver began with
    model = Diffusion(SPEC, partial(MLP, width=64, conditional=False), path=LinearPath(1e-3))
    real = DENSITY.sample(2000)
    untrained = one_step(model.denoiser, real)
    optimizer = torch.optim.Adam(model.network.parameters(), lr=3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        rows = torch.randint(NUM, (256,))
        optimizer.zero_grad()
        model.losses("train", {"vector": x_0[rows], "noise": eps[rows]})["loss"].backward()
        optimizer.step()
        decay.step()
    assert curvature(model.denoiser) < 0.2 * curvature(teacher)
    assert one_step(model.denoiser, real) < 0.5 * min(one_step(teacher, real), untrained)
