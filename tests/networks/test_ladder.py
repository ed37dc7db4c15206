"""The ladder's networks: shapes at all sizes, levels from the top down, what each level depends on, errors."""

import pytest
import torch

from genlab.core import Condition, DataSpec, ModalitySpec, UserError
from genlab.networks import LadderDecoder, LadderEncoder

LABEL = ModalitySpec(num_classes=3)


def spec_of(*shape):
    return DataSpec("images", {"image": ModalitySpec(shape, 256), "label": LABEL})


def made(spec, channels, num_levels, **parts):
    """Encoder and decoder of 5 channels out, away from their zero starts."""
    torch.manual_seed(0)
    networks = (LadderEncoder(spec, channels), LadderDecoder(spec, 5, channels, num_levels, 2, **parts))
    for p in [p for network in networks for p in network.parameters()]:
        p.data += 0.1 * torch.randn_like(p)
    return networks


class Walk:
    """Takes the posterior's mean where there is one, unless latents are given, and remembers all parameters."""

    def __init__(self, given=()):
        self.given, self.priors, self.posteriors, self.z = given, [], [], []

    def __call__(self, prior, posterior):
        known = len(self.z) < len(self.given)
        mean = (prior if posterior is None else posterior).chunk(2, 1)[0]
        self.priors.append(prior)
        self.posteriors.append(posterior)
        self.z.append(self.given[len(self.z)] if known else mean)
        return self.z[-1]


@pytest.mark.parametrize(
    ("shape", "channels", "num_levels"),
    [
        ((1, 8, 8), [4, 8, 8, 8], [1, 1, 2, 1]),
        ((1, 28, 28), [4, 8, 8], [0, 1, 2]),
        ((3, 32, 48), [4, 4, 8, 8], [1, 1, 1, 1]),
        ((3, 64, 64), [4, 4, 4, 4, 4, 4], [0, 1, 1, 1, 1, 1]),
    ],
)
def test_shapes_at_all_sizes(shape, channels, num_levels):
    encoder, decoder = made(spec_of(*shape), channels, num_levels)
    features, walk = encoder(torch.randn(2, *shape)), Walk()
    assert [f.shape[1:] for f in features] == [torch.Size(s) for s in encoder.feature_shapes]
    assert encoder.feature_shapes == decoder.feature_shapes
    assert decoder(walk, 2, features).shape == (2, 5, *shape[1:])
    assert [z.shape[1:] for z in walk.z] == [torch.Size(s) for s in decoder.latent_shapes]
    assert len(walk.z) == sum(num_levels)
    sides = [size[1] for size in decoder.latent_shapes]
    assert sides == sorted(sides), "the top level is the coarsest"
    alone = Walk()
    assert decoder(alone, 2).shape == (2, 5, *shape[1:])
    assert alone.posteriors == [None] * sum(num_levels)


def test_a_level_sees_the_levels_above_it_and_a_prior_sees_no_data():
    encoder, decoder = made(spec_of(1, 8, 8), [4, 8], [1, 2])
    features, other = (encoder(torch.randn(1, 1, 8, 8)) for _ in range(2))
    first, again = Walk(), Walk()
    decoder(first, 1, features)
    again.given = first.z
    decoder(again, 1, other)
    for a, b in zip(first.priors, again.priors, strict=True):
        torch.testing.assert_close(a, b)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(first.posteriors, again.posteriors, strict=True))
    for changed in range(3):
        walk = Walk([z + (level == changed) for level, z in enumerate(first.z)])
        decoder(walk, 1, features)
        moved = [not torch.equal(a, b) for a, b in zip(first.priors, walk.priors, strict=True)]
        assert moved == [level > changed for level in range(3)]


def test_every_latent_reaches_every_pixel_and_every_pixel_the_top():
    encoder, decoder = made(spec_of(1, 8, 8), [4, 8, 8, 8], [0, 0, 0, 1])
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    walk = Walk()
    decoder(walk, 1, encoder(x))
    walk.posteriors[0].sum().backward()
    assert (x.grad != 0).all()
    z = walk.z[0].detach()
    jacobian = torch.autograd.functional.jacobian(lambda z: decoder(Walk([z]), 1)[0].sum(0).flatten(), z)
    assert (jacobian.flatten(1) != 0).all()


def test_all_levels_are_given_the_condition():
    _, decoder = made(spec_of(1, 8, 8), [4, 8], [1, 1], conditional=["label"])
    assert decoder.conditions == ("label",)
    walks = []
    for label in (0, 2):
        walks.append(Walk([torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 8, 8)]))
        decoder(walks[-1], 1, condition=Condition(label=torch.tensor([label])))
    assert all((a - b).abs().max() > 1e-4 for a, b in zip(*(walk.priors for walk in walks), strict=True))
    assert made(spec_of(1, 8, 8), [4], [1])[1].conditions == ()


def test_each_resolution_has_latents_of_its_own():
    levels = {"num_levels": [2, 1], "latent_channels": [1, 3]}
    shapes = LadderDecoder(spec_of(1, 2, 2), 5, [4, 8], **levels).latent_shapes
    assert shapes == ((3, 1, 1), (1, 2, 2), (1, 2, 2))


def test_the_priors_start_as_standard_normals():
    walk = Walk()
    LadderDecoder(spec_of(1, 8, 8), 5, [4, 8], [1, 1], 2)(walk, 3)
    assert all((prior == 0).all() for prior in walk.priors)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": [4] * 5}, "channels: got '5 resolutions', expected 1 to 4 for images of 8x8"),
        ({"num_levels": [1]}, r"num_levels: got \[1\], expected 2 numbers, one per resolution"),
        (
            {"num_levels": [1, 0]},
            r"num_levels: got \[1, 0\], expected non-negative numbers, and a level at the coarsest",
        ),
        ({"latent_channels": 0}, "latent_channels: got 0"),
        ({"latent_channels": [1, 2, 3]}, r"latent_channels: got \[1, 2, 3\], expected 2 numbers"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        LadderDecoder(spec_of(1, 8, 8), 5, **{"channels": [4, 8], "num_levels": [1, 1], **arguments})
