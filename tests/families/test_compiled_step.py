"""The compiled training step: one graph with each objective, coupling, distribution of times and network."""

from functools import partial

import pytest
import torch

from genlab.core import DataSpec, Frozen, ModalitySpec
from genlab.families import Diffusion
from genlab.networks import MLP, DiT, EDM2UNet, UNet
from genlab.objectives import (
    EDM,
    P2,
    ConsistencyDistillation,
    ConsistencyTraining,
    Denoising,
    Discretisation,
    ImplicitScoreMatching,
    LearnedUncertainty,
    LearnedVariance,
    MinSNR,
    NoiseSpace,
    SlicedScoreMatching,
)
from genlab.probability import (
    EDMPath,
    EDMPrediction,
    EntropicCoupling,
    ImportanceTime,
    LinearBetaPath,
    LogitNormalTime,
    LogNormalTime,
    OptimalCoupling,
    StochasticInterpolant,
    UniformTime,
    VPrediction,
)
from genlab.solvers import Euler, MultistepConsistency, VariationalDequantisation

LABEL = {"label": ModalitySpec(num_classes=3)}
IMAGES = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17), **LABEL})
POINTS = DataSpec("points", {"vector": ModalitySpec((2,), num_levels=17), **LABEL})
UNET = {
    "channels": 8,
    "multipliers": (1, 2),
    "num_blocks": 1,
    "attention": (4,),
    "head_dim": 8,
    "dropout": 0.1,
}
NETWORKS = {
    "MLP": partial(MLP, width=8),
    "DiT": partial(DiT, depth=1, width=16, num_heads=2),
    "UNet": partial(UNet, **UNET),
    "UNet, channels last": partial(UNet, **UNET, channels_last=True),
    "EDM2UNet": partial(EDM2UNet, **UNET),
}
VP = {"path": LinearBetaPath(), "prediction": VPrediction(), "solver": Euler(2)}
SIGMA = {"path": EDMPath(), "prediction": EDMPrediction()}


def denoising(*parts, **named):
    return lambda: {"objective": Denoising(*parts, **named)}


def weighted(*parts):
    return lambda: {**VP, "objective": Denoising(*parts)}


def consistent(objective):
    return {**SIGMA, "objective": objective, "solver": MultistepConsistency(1)}


def distillation(network):
    """From a teacher of the same network."""
    teacher = Frozen(model=Diffusion(data_of(network), NETWORKS[network], **SIGMA))
    return consistent(ConsistencyDistillation(Discretisation(10), teacher))


STEPS = {
    "reflow": denoising(),
    "logit-normal times": denoising(times=LogitNormalTime(stratified=True)),
    "log-normal times": lambda: {**SIGMA, "objective": Denoising(EDM(), LogNormalTime())},
    "optimal coupling": denoising(coupling=OptimalCoupling()),
    "optimal coupling across classes": denoising(coupling=OptimalCoupling(within_classes=False)),
    "entropic coupling": denoising(coupling=EntropicCoupling()),
    "interpolant": lambda: {
        "path": StochasticInterpolant(),
        "objective": Denoising(coupling=OptimalCoupling()),
        "dequantise": True,
    },
    "simple, stratified": weighted(NoiseSpace(), UniformTime(stratified=True)),
    "min-SNR, importance": lambda: {**VP, "objective": Denoising(MinSNR(), ImportanceTime(8, 3))},
    "P2": weighted(P2()),
    "learned uncertainty": lambda: {**SIGMA, "objective": Denoising(LearnedUncertainty())},
    "learned variance": lambda: {**VP, "objective": LearnedVariance(num_steps=100)},
    "consistency training": lambda: consistent(ConsistencyTraining(Discretisation(10))),
    "sliced score matching": lambda: {**VP, "objective": SlicedScoreMatching()},
    "implicit score matching": lambda: {**VP, "objective": ImplicitScoreMatching()},
    "learned dequantisation": lambda: {"dequantise": partial(VariationalDequantisation, channels=4)},
}
ALL_STEPS = (*STEPS, "consistency distillation")
OF_IMAGES = [(n, s) for n in NETWORKS for s in ALL_STEPS if n != "MLP"]


def data_of(network: str) -> DataSpec:
    return POINTS if network == "MLP" else IMAGES


def training_step(network: str, name: str):
    """A step in bfloat16 as a function of a batch, and its model."""
    torch.manual_seed(0)
    parts = distillation(network) if name == "consistency distillation" else STEPS[name]()
    spec = data_of(network)
    if name == "reflow":
        spec = DataSpec("pairs", {**spec.modalities, "noise": ModalitySpec(spec.shape)})
    model = Diffusion(spec, NETWORKS[network], **parts)

    def step(batch):
        with torch.autocast("cpu", torch.bfloat16):
            return model.losses("train", batch)["loss"]

    return step, model


def batch_of(model, n: int = 8) -> dict[str, torch.Tensor]:
    """Random data with labels, and noise where it comes with them."""
    shape = model.spec.shape
    batch = {model.spec.data: torch.rand(n, *shape) * 2 - 1, "label": torch.arange(n) % 3}
    return batch | ({"noise": torch.randn(n, *shape)} if "noise" in model.spec else {})


def check_one_graph(network: str, name: str) -> None:
    step, model = training_step(network, name)
    torch._dynamo.reset()
    explanation = torch._dynamo.explain(step)(batch_of(model))
    assert explanation.graph_break_count == 0, explanation.break_reasons
    assert explanation.graph_count == 1


@pytest.mark.parametrize("name", ALL_STEPS)
def test_one_graph(name):
    of_images = name == "learned dequantisation"
    check_one_graph("DiT" if of_images else "MLP", name)


@pytest.mark.slow
@pytest.mark.parametrize(("network", "name"), OF_IMAGES)
def test_one_graph_with_every_network(network, name):
    check_one_graph(network, name)


@pytest.mark.parametrize(
    "name", ["min-SNR, importance", "optimal coupling", "entropic coupling", "consistency training"]
)
def test_the_compiled_step_is_the_same(name):
    """Losses, gradients and what is remembered, over steps that see what those before them left."""
    runs = []
    for compiled in (False, True):
        step, model = training_step("MLP", name)
        torch._dynamo.reset()
        step = torch.compile(step, backend="eager", fullgraph=True) if compiled else step
        for p in model.parameters():  # what starts as zero would hide the step
            torch.nn.init.normal_(p, std=0.1)
        losses = []
        for seed in range(6):
            torch.manual_seed(seed)
            losses.append(step(batch_of(model)))
            losses[-1].backward()
            model.on_before_optimizer_step(None)
        kept = {name: p.grad for name, p in model.named_parameters()} | dict(model.named_buffers())
        runs.append((losses, kept))
    torch.testing.assert_close(runs[0], runs[1])
