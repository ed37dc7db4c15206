"""What samples can be asked for by: every kind of condition is checked before any work is done."""

from functools import partial

import pytest
import torch

from genlab.core import Condition, DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.families import Diffusion
from genlab.networks import UNet
from genlab.solvers import ClassifierFreeGuidance, Euler, IntervalGuidance

SPEC = DataSpec(
    "all",
    {
        "image": ModalitySpec((1, 8, 8)),
        "label": ModalitySpec(num_classes=10),
        "vector": ModalitySpec((3,)),
        "tokens": ModalitySpec((5,), num_classes=20),
        "low_resolution": ModalitySpec((1, 4, 4)),
    },
)
NETWORK = partial(UNet, channels=8, multipliers=(1,), num_blocks=1, attention=(8,))


def model(**settings) -> Diffusion:
    """A small one that takes every kind."""
    torch.manual_seed(0)
    return Diffusion(SPEC, NETWORK, solver=Euler(2), **settings)


def batch(n: int = 4) -> dict[str, torch.Tensor]:
    """One of each modality, and which tokens there are."""
    shapes = {"image": (n, 1, 8, 8), "vector": (n, 3), "low_resolution": (n, 1, 4, 4)}
    values = {name: torch.rand(shape) for name, shape in shapes.items()}
    tokens = {"tokens": torch.randint(20, (n, 5)), "token_mask": torch.arange(5).expand(n, 5) < 3}
    return {**values, **tokens, "label": torch.arange(n)}


def test_a_batch_gives_its_conditions():
    condition = model().condition_of(batch())
    assert condition.kinds == ("label", "vector", "tokens", "image")
    assert condition.image.shape == (4, 1, 4, 4)
    assert condition.token_mask.sum() == 12
    assert model().condition_of({"image": torch.zeros(2, 1, 8, 8)}) is None


def test_trains_and_samples_on_every_kind():
    diffusion = model(label_dropout={"label": 0.5, "image": 0.1})
    diffusion.loss(batch(), diffusion.label_dropout)["loss"].backward()
    condition = diffusion.condition_of(batch())
    assert diffusion.sample(4, condition=condition, rng=RandomStreams(0, 4)).shape == (4, 1, 8, 8)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition(label=torch.tensor([1, 10])), r"condition: got \(1, 10\), expected classes 0 to 9"),
        (Condition(label=torch.rand(2)), r"label of shape \(2,\), torch.float32', expected \(B,\) integers"),
        (Condition(vector=torch.zeros(3, 3)), "condition: got '3 vectors', expected 2; one per sample"),
        (Condition(vector=torch.zeros(2, 4)), r"condition: got 'vector of shape \(4,\)', expected .*\(3,\)"),
        (Condition(tokens=torch.tensor([[0, 20], [0, 0]])), r"got \(0, 20\), expected tokens 0 to 19"),
        (Condition(image=torch.zeros(2, 3, 4, 4)), r"got 'image of shape \(3, 4, 4\)'"),
        (Condition(label=torch.zeros(2).long(), keep={"label": torch.ones(3).bool()}), "keep of label"),
        (
            Condition(tokens=torch.zeros(2, 5).long(), token_mask=torch.ones(2, 4).bool()),
            "token_mask: got",
        ),
    ],
)
def test_refuses_conditions_that_are_not_of_the_data(condition, message):
    with pytest.raises(UserError, match=message):
        model().sample(2, condition=condition, rng=RandomStreams(0, 2))


def test_refuses_a_kind_that_the_model_does_not_take():
    diffusion = Diffusion(SPEC, partial(NETWORK, conditional=["label"]), solver=Euler(2))
    with pytest.raises(UserError, match="condition: got 'image', expected one of label; leave it out"):
        diffusion.sample(2, condition=Condition(image=torch.zeros(2, 1, 4, 4)), rng=RandomStreams(0, 2))
    assert diffusion.sample(2, condition=Condition(label=torch.arange(2)), rng=RandomStreams(0, 2)).shape


@pytest.mark.parametrize("share", [1.1, {"label": -0.1}, {"lable": 0.1}])
def test_refuses_shares_that_are_none(share):
    with pytest.raises(UserError, match="label_dropout"):
        model(label_dropout=share)


def test_guidance_needs_a_kind_that_is_sometimes_lost():
    assert model(label_dropout={"image": 0.1}, guidance_scale=2.0).guidance_scale == 2
    with pytest.raises(UserError, match="guidance_scale"):
        model(label_dropout={"image": 0.0}, guidance_scale=2.0)


@pytest.mark.parametrize(
    "guidance", [{"guidance_scale": 0.0}, {"guidance": [IntervalGuidance(ClassifierFreeGuidance(0.0))]}]
)
def test_guidance_keeps_what_training_never_loses(guidance):
    diffusion = model(label_dropout={"label": 0.1}, **guidance)
    for parameter in diffusion.network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    condition, x, t = diffusion.condition_of(batch()), batch()["image"], torch.full((4,), 0.5)
    with torch.no_grad():
        guided, plain = diffusion.guided(), diffusion.denoiser
        torch.testing.assert_close(guided(x, t, condition).x_0, plain(x, t, condition.null("label")).x_0)
        assert (guided(x, t, condition).x_0 - plain(x, t, condition.null()).x_0).abs().max() > 1e-4
