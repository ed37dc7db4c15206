"""What sampling promises in every family: the streams alone decide, requests are checked, no trace is left."""

from functools import partial

import pytest
import torch

from genlab.core import Condition, DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.families import GAN, VAE, Diffusion, HierarchicalVAE
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    LadderDecoder,
    LadderEncoder,
    SNGANCritic,
    SNGANGenerator,
    UNet,
)
from genlab.solvers import Euler

SPEC = DataSpec(
    "digits", {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=10)}
)


def diffusion():
    network = partial(UNet, channels=8, multipliers=(1, 2), num_blocks=1, attention=(), dropout=0.5)
    return Diffusion(SPEC, network, solver=Euler(2))


def vae():
    parts = {"channels": [8, 8], "dropout": 0.5}
    return VAE(SPEC, partial(ConvEncoder, **parts), partial(ConvDecoder, **parts), latent_dim=4)


def gan():
    """With batch norms, whose running statistics must not move."""
    return GAN(SPEC, partial(SNGANGenerator, channels=(8, 8)), partial(SNGANCritic, channels=(8,)))


def hierarchical():
    parts = {"channels": [8, 8], "dropout": 0.5}
    return HierarchicalVAE(SPEC, partial(LadderEncoder, **parts), partial(LadderDecoder, **parts))


FAMILIES = [diffusion, vae, gan, hierarchical]


def made(family):
    """A model off its zero starts, in train mode but for one frozen part."""
    torch.manual_seed(0)
    model = family()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.train()
    list(model.modules())[-1].eval()
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_of_a_model_in_training_are_those_of_its_streams(family):
    model = made(family)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    whole = model.sample(5, rng=RandomStreams(3, 5))
    parts = torch.cat([model.sample(len(rng), rng=rng) for rng in RandomStreams(3, 5).split(2)])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert not whole.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_sampling_reads_a_copy_of_the_streams(family):
    model, rng = made(family), RandomStreams(0, 3)
    first = model.sample(3, rng=rng)
    assert torch.equal(model.sample(3, rng=rng), first)
    rng.normal()
    assert not torch.equal(model.sample(3, rng=rng), first)


@pytest.mark.parametrize("family", FAMILIES)
def test_another_number_of_streams_is_refused(family):
    with pytest.raises(UserError, match="rng: got '5 streams', expected 3"):
        made(family).sample(3, rng=RandomStreams(0, 5))


@pytest.mark.parametrize("family", [diffusion, gan])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1], "condition: got '1 classes', expected 2"),
        ([0, 10], r"condition: got \(0, 10\), expected classes"),
    ],
)
def test_wrong_classes_are_refused(family, labels, message):
    with pytest.raises(UserError, match=message):
        made(family).sample(2, condition=Condition(torch.tensor(labels)), rng=RandomStreams(0, 2))


def test_a_model_of_data_without_classes_refuses_them():
    spec = DataSpec("plain", {"image": SPEC["image"]})
    model = GAN(spec, partial(SNGANGenerator, channels=(8, 8)), partial(SNGANCritic, channels=(8,)))
    with pytest.raises(UserError, match="condition: got 'Condition', expected none"):
        model.sample(2, condition=Condition(torch.zeros(2, dtype=torch.long)), rng=RandomStreams(0, 2))


def test_the_vaes_log_prob_is_without_dropout():
    model, x = made(vae), SPEC["image"].values(torch.zeros(2, 1, 8, 8))
    first, second = (model.log_prob(x, num_samples=3).nats for _ in range(2))
    assert torch.equal(first, second)
