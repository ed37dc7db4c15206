"""Corruptions: how often and to what, and noise of one stream per datum."""

import pytest
import torch

from genlab.core import RandomStreams, UserError
from genlab.objectives import GaussianNoise, Masking, SaltAndPepper

KINDS = [GaussianNoise(0.3), Masking(0.25), SaltAndPepper(0.25)]


@pytest.mark.parametrize("corruption", KINDS, ids=repr)
def test_noise_is_of_each_datums_stream(corruption):
    x = torch.rand(6, 1, 8, 8) * 2 - 1
    whole = corruption(x, RandomStreams(3, 6))
    parts = [corruption(x[rng.indices], rng) for rng in RandomStreams(3, 6).split(4)]
    assert torch.equal(whole, torch.cat(parts))
    assert not torch.equal(whole, corruption(x, RandomStreams(4, 6)))
    assert corruption(x).shape == x.shape


@pytest.mark.parametrize("rng", [None, RandomStreams(0, 1000)], ids=["torch", "streams"])
def test_what_is_lost_and_what_takes_its_place(rng):
    torch.manual_seed(0)
    x = torch.full((1000, 64), 0.5)
    noisy = GaussianNoise(0.3)(x, rng) - x
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert noisy.mean().item() == pytest.approx(0, abs=0.01)
    masked = Masking(0.25, fill=-1.0)(x, rng)
    assert set(masked.unique().tolist()) == {-1.0, 0.5}
    assert (masked == -1).float().mean().item() == pytest.approx(0.25, abs=0.01)
    salted = SaltAndPepper(0.4)(x, rng)
    for value in (-1.0, 1.0):
        assert (salted == value).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (salted == 0.5).float().mean().item() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize(
    "make", [lambda: GaussianNoise(0.0), lambda: Masking(0.0), lambda: SaltAndPepper(1.5)]
)
def test_refusals(make):
    with pytest.raises(UserError, match=r"^(scale|probability): got "):
        make()
