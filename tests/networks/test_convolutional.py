"""Convolutional encoder and decoder: shapes at all resolutions, whole receptive field, errors."""

import pytest
import torch

from genlab.core import DataSpec, ModalitySpec, UserError
from genlab.networks import ConvDecoder, ConvEncoder, StridedDecoder, StridedEncoder


def spec_of(*shape):
    return DataSpec("images", {"image": ModalitySpec(shape, 256)})


@pytest.mark.parametrize(
    ("shape", "channels"),
    [
        ((1, 8, 8), [8, 16]),
        ((1, 28, 28), [6, 8, 18]),
        ((3, 32, 48), [8, 16, 24]),
        ((3, 256, 256), [4, 4, 8, 8, 8, 8]),
    ],
)
def test_there_and_back(shape, channels):
    encoder, decoder = (
        ConvEncoder(spec_of(*shape), 10, channels),
        ConvDecoder(spec_of(*shape), 5, 7, channels),
    )
    assert encoder(torch.zeros(2, *shape)).shape == (2, 10)
    halved = [side >> (len(channels) - 1) for side in shape[1:]]
    assert encoder.trunk(torch.zeros(2, *shape)).shape == (2, channels[-1], *halved)
    assert decoder(torch.zeros(2, 5)).shape == (2, 7, *shape[1:])


def test_every_pixel_reaches_every_feature_and_back():
    spec = spec_of(1, 8, 8)
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    ConvEncoder(spec, 1, [8, 8])(x).sum().backward()
    assert (x.grad != 0).all()
    z = torch.randn(1, 3)
    jacobian = torch.autograd.functional.jacobian(lambda z: ConvDecoder(spec, 3, 2, [8, 8])(z).flatten(), z)
    assert (jacobian.abs().amax(0) > 0).all()
    assert (jacobian.abs().flatten(1).amax(1) > 0).all()


def test_dropout_acts_in_training_alone():
    encoder = ConvEncoder(spec_of(1, 8, 8), 4, [8], dropout=0.5)
    x = torch.randn(3, 1, 8, 8)
    assert not torch.equal(encoder(x), encoder(x))
    encoder.eval()
    assert torch.equal(encoder(x), encoder(x))


@pytest.mark.parametrize("make", [lambda s, c: ConvEncoder(s, 4, c), lambda s, c: ConvDecoder(s, 4, 4, c)])
def test_sides_that_cannot_be_halved_and_data_that_are_no_images(make):
    with pytest.raises(
        UserError, match=r"channels: got '4 resolutions', expected 1 to 3 for images of 28x28"
    ):
        make(spec_of(1, 28, 28), [4, 4, 4, 4])
    with pytest.raises(UserError, match=r"network: got 'data of shape \(2,\)'"):
        make(spec_of(2), [4])
    with pytest.raises(UserError, match=r"channels: got '0 resolutions'"):
        make(spec_of(1, 8, 8), [])


@pytest.mark.parametrize(("side", "channels"), [(32, (4, 4, 8)), (64, (4, 4, 8, 8))])
def test_strided_networks_halve_and_double_and_every_pixel_counts(side, channels):
    spec = spec_of(3, side, side)
    x = torch.randn(2, 3, side, side, requires_grad=True)
    features = StridedEncoder(spec, 10, channels, width=16)(x)
    assert features.shape == (2, 10)
    features.square().sum().backward()
    assert (x.grad.abs().amax((0, 1)) > 0).float().mean() > 0.9  # a rectifier may close all ways of a few
    z = torch.randn(2, 5, requires_grad=True)
    images = StridedDecoder(spec, 5, 6, channels, width=16)(z)
    assert images.shape == (2, 6, side, side)
    with pytest.raises(UserError, match="channels: got '7 resolutions'"):
        StridedEncoder(spec_of(3, 32, 32), 4, (4,) * 6)
