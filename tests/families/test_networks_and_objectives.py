"""Each network of denoisers with each objective: a step of training, down its loss."""

from functools import partial

import pytest
import torch
from torch import nn

from genlab.core import DataSpec, Frozen, ModalitySpec
from genlab.families import Diffusion
from genlab.networks import MLP, DiT, EDM2UNet, MPLayer, UNet
from genlab.objectives import (
    ConsistencyDistillation,
    ConsistencyTraining,
    Denoising,
    Discretisation,
    ImplicitScoreMatching,
    LearnedUncertainty,
    LearnedVariance,
    SlicedScoreMatching,
)
from genlab.probability import EDMPath, EDMPrediction, LinearBetaPath, LinearPath, VPrediction
from genlab.solvers import Euler, MultistepConsistency

IMAGES = DataSpec(
    "digits", {"image": ModalitySpec((1, 4, 4), num_levels=17), "label": ModalitySpec(num_classes=3)}
)
POINTS = DataSpec("points", {"vector": ModalitySpec((2,)), "label": ModalitySpec(num_classes=3)})
NETWORKS = {
    "UNet": partial(UNet, channels=8, multipliers=(1, 2), num_blocks=1, attention=(2,)),
    "EDM2UNet": partial(EDM2UNet, channels=8, multipliers=(1, 2), num_blocks=1, attention=(2,), head_dim=8),
    "DiT": partial(DiT, depth=1, width=16, num_heads=2),
    "MLP": partial(MLP, width=16),
}
DIFFUSION = {"path": LinearBetaPath(), "prediction": VPrediction(), "solver": Euler(2)}
EDM = {"path": EDMPath(), "prediction": EDMPrediction()}
OBJECTIVES = {
    "flow matching": lambda spec: {"path": LinearPath(), "objective": Denoising()},
    "learned uncertainty": lambda spec: {**EDM, "objective": Denoising(LearnedUncertainty())},
    "learned variance": lambda spec: {**DIFFUSION, "objective": LearnedVariance(num_steps=100)},
    "implicit": lambda spec: {**DIFFUSION, "objective": ImplicitScoreMatching()},
    "sliced": lambda spec: {**DIFFUSION, "objective": SlicedScoreMatching()},
    "consistency": lambda spec: consistent(ConsistencyTraining(Discretisation(10))),
    "distillation": lambda spec: consistent(ConsistencyDistillation(Discretisation(10), teacher(spec))),
}


def consistent(objective):
    return {**EDM, "objective": objective, "solver": MultistepConsistency(1)}


def teacher(spec):
    return Frozen(model=Diffusion(spec, NETWORKS["UNet" if spec is IMAGES else "MLP"], **EDM))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("network", NETWORKS)
def test_trains(network, objective):
    torch.manual_seed(0)
    spec = POINTS if network == "MLP" else IMAGES
    if (network, objective) == ("MLP", "learned variance"):
        spec = DataSpec("points", {**POINTS.modalities, "vector": ModalitySpec((2,), num_levels=17)})
    model = Diffusion(spec, NETWORKS[network], **OBJECTIVES[objective](spec))
    batch = {spec.data: torch.rand(16, *spec.shape) - 0.5, "label": torch.arange(16) % 3}
    # The same draws each time, so that only the weights make the loss smaller.
    optimizer, losses = torch.optim.Adam(model.network.parameters(), lr=3e-3), []
    for _ in range(6):
        torch.manual_seed(1)
        loss = model.losses("train", batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(abs(loss) < 1e6 for loss in losses)
    assert losses[-1] < losses[0]


def test_forced_weights_are_normalised_before_each_batch_and_frozen_ones_are_left():
    model, other = (Diffusion(IMAGES, NETWORKS["EDM2UNet"]) for _ in range(2))
    model.beside = Frozen(model=other)

    def sizes(module: nn.Module) -> torch.Tensor:
        layers = [m for m in module.modules() if isinstance(m, MPLayer)]
        return torch.cat([m.weight.detach().flatten(1).square().mean(1).sqrt() for m in layers])

    with torch.no_grad():
        for p in (*model.network.parameters(), *other.parameters()):
            p.mul_(3)
    model.train().on_train_batch_start({}, 0)
    assert (sizes(model.network) - 1).abs().max() < 1e-3
    assert (sizes(other) - 3).abs().max() < 1e-2
