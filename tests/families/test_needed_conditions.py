"""Models that have learned nothing without a condition: they say so, and nobody asks them for samples without it."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from genlab.callbacks.generative_metrics import why_not
from genlab.callbacks.pictures import Pictures, can_be_drawn
from genlab.core import Condition, DataSpec, Frozen, ModalitySpec, RandomStreams, UserError, why_no_samples
from genlab.data import Digits, TwoResolutions
from genlab.experiments import sampling
from genlab.experiments.evaluation_plan import Request, check_family
from genlab.experiments.loading import Loaded
from genlab.families import Autoregressive, Cascade, CoarseToFine, Diffusion
from genlab.networks import TokenTransformer, UNet
from genlab.solvers import Euler

SMALL = TwoResolutions(Digits(), size=16, low_resolution=8).spec
LOW = partial(UNet, channels=8, multipliers=(1,), num_blocks=1, attention=())
WORDS = "Diffusion can't sample without image to start from"


def enlarges(**settings) -> Diffusion:
    torch.manual_seed(0)
    return Diffusion(SMALL, LOW, solver=Euler(2), **{"label_dropout": {"label": 0.1}, **settings})


def loaded(model) -> Loaded:
    return Loaded(model, model.spec, {}, "raw", None, None, 7, {})


@pytest.mark.parametrize(
    ("dropout", "needed"),
    [
        ({"label": 0.1}, ("image",)),
        ({"label": 0.1, "image": 0.1}, ()),
        (0.1, ()),
        (0.0, ("image",)),  # classes are drawn
    ],
)
def test_what_training_never_loses_is_needed(dropout, needed):
    model = enlarges(label_dropout=dropout)
    assert model.needed_conditions == needed
    assert bool(why_no_samples(model)) == bool(needed)


def test_samples_are_refused_without_and_given_with_it():
    model, label = enlarges(), torch.tensor([1, 2])
    for condition, got in ((None, "none"), (Condition(label=label), "label")):
        with pytest.raises(UserError, match=f"condition: got '{got}', expected image as well"):
            model.sample(2, condition=condition, rng=RandomStreams(0, 2))
    given = Condition(label=label, image=torch.zeros(2, 1, 8, 8))
    assert model.sample(2, condition=given, rng=RandomStreams(0, 2)).shape == (2, 1, 16, 16)


def test_commands_say_so():
    model = loaded(enlarges())
    with pytest.raises(UserError, match=f"ckpt: got 'Diffusion', expected a family that can sample; {WORDS}"):
        sampling.check(model, sampling.Request(4))
    with pytest.raises(UserError, match=f"metrics: got 'fid', expected auto or some of bpd; {WORDS}"):
        check_family(model, Request(metrics=["fid"]))


def test_callbacks_leave_it_out():
    model, trainer = enlarges(), SimpleNamespace(datamodule=TwoResolutions(Digits(), 16, 8))
    assert why_not(trainer, model) == WORDS
    assert not can_be_drawn(model)
    pictures = Pictures(num=4, seed=0)
    assert pictures.grid(trainer, model) is None
    assert pictures.path(trainer, model, num_frames=2) == []
    model = enlarges(label_dropout=0.1)

    assert why_not(trainer, model) is None
    assert can_be_drawn(model)


def test_a_cascade_gives_what_its_parts_need():
    base = Diffusion(Digits().spec, LOW, solver=Euler(2))
    parts = partial(Diffusion, network=LOW, solver=Euler(2), label_dropout={"label": 0.1})
    model = Cascade(SMALL, Frozen(model=base), parts)
    assert model.super_resolution.needed_conditions == ("vector", "image")
    assert (model.needed_conditions, why_no_samples(model)) == ((), "")
    assert model.sample(2, rng=RandomStreams(0, 2)).shape == (2, 1, 16, 16)
    larger = TwoResolutions(Digits(), size=32, low_resolution=16).spec
    with pytest.raises(UserError, match=f"base: got 'Diffusion', expected a model that can sample; {WORDS}"):
        Cascade(larger, Frozen(model=enlarges()), parts)
    texts = DataSpec(SMALL.name, {**SMALL.modalities, "tokens": ModalitySpec((3,), num_classes=5)})
    with pytest.raises(UserError, match="super_resolution: got 'one that needs tokens'"):
        Cascade(texts, Frozen(model=base), partial(parts, network=partial(LOW, attention=(16,))))


def test_fine_levels_need_the_coarser_tokens():
    network = partial(TokenTransformer, depth=1, width=16, num_heads=2)
    level = partial(Autoregressive, network=network, label_dropout={"label": 0.1})
    grids = ModalitySpec((5,), num_classes=4, grids=((1, 1), (2, 2)))
    spec = DataSpec("x", {"tokens": grids, "label": ModalitySpec(num_classes=3)})
    model = CoarseToFine(spec, level, level)
    assert [own.needed_conditions for own in model.levels] == [(), ("tokens",)]
    assert model.needed_conditions == ()
    with pytest.raises(UserError, match="condition: got 'none', expected tokens as well"):
        model.levels[1].log_prob(torch.zeros(2, 2, 2, dtype=torch.int64))


def test_classes_are_drawn_beside_what_is_given():
    model, rng = enlarges(label_dropout=0.0), RandomStreams(0, 64)
    image = torch.zeros(64, 1, 8, 8)
    drawn = model.condition_or_drawn(Condition(image=image), rng, 0.0)
    assert drawn.kinds == ("label", "image")
    assert set(drawn.label.tolist()) == set(range(10))
    label = torch.full((64,), 3)
    assert model.condition_or_drawn(Condition(label=label, image=image), rng, 0.0).label.eq(3).all()
    assert model.condition_or_drawn(Condition(image=image), rng, 0.1).label is None
