"""Ways through latents: what is moved, how far, in which order."""

import pytest
import torch

from genlab.core import RandomStreams
from genlab.solvers.latent_axes import latent_axes
from genlab.solvers.latent_walks import decoded, interpolation, traversal, walks_on_sphere
from tests.latent_models import Linear, images


def test_a_traversal_of_a_linear_decoder_is_a_line_along_one_column():
    model, x = Linear(), images(3)
    axes = latent_axes(model, x)
    z, dims = model.encode(x), torch.tensor([2, 0])
    seen = decoded(model, traversal(z, axes, dims, 5), 1).flatten(3)
    assert seen.shape == (3, 2, 5, 64)
    steps = seen.diff(dim=2)
    for row, d in enumerate(dims):
        length = axes.scale[d]  # four standard deviations in four steps
        torch.testing.assert_close(steps[:, row], (length * model.weight[:, d]).expand(3, 4, 64))
    others = [1, 3]
    moved = traversal(z, axes, dims, 5)
    torch.testing.assert_close(moved[..., others], z[:, None, None, others].expand(3, 2, 5, 2))


def test_axes_are_the_priors_and_ordered_by_kl():
    model, x = Linear(), images(40)
    axes = latent_axes(model, x)
    assert axes.order.tolist() == [3, 0, 2, 1]
    assert axes.unit == "nats"
    torch.testing.assert_close(axes.centre, model.centre, atol=0.25, rtol=0)
    torch.testing.assert_close(axes.scale, torch.full((4,), 2.0), atol=0.15, rtol=0)
    model.normal_prior = True
    axes = latent_axes(model, x)
    assert axes.centre.tolist() == [0] * 4
    assert axes.scale.tolist() == [1] * 4


def test_without_a_kl_the_encoded_spread_says_what_is_carried():
    class Plain(torch.nn.Module):
        def encode(self, x):
            return x.flatten(1)[:, :3] * torch.tensor([0.1, 3.0, 1.0])

    x = images(200)
    axes = latent_axes(Plain(), x)
    assert (axes.order.tolist(), axes.unit) == ([1, 2, 0], "variance")
    torch.testing.assert_close(axes.scale, Plain().encode(x).std(0, correction=0))
    assert not walks_on_sphere(Plain())


@pytest.mark.parametrize("spherical", [False, True])
def test_interpolations_keep_their_ends(spherical):
    a, b = RandomStreams(0, 6).normal((2, 3, 3)), RandomStreams(1, 6).normal((2, 3, 3))
    way = interpolation(a, b, 7, spherical)
    assert way.shape == (6, 7, 2, 3, 3)
    torch.testing.assert_close(way[:, 0], a)
    torch.testing.assert_close(way[:, -1], b)
    back = interpolation(b, a, 7, spherical)
    torch.testing.assert_close(way, back.flip(1), atol=1e-5, rtol=1e-5)
    if not spherical:
        assert way.diff(n=2, dim=1).abs().max() < 1e-5


def test_on_the_sphere_draws_of_a_normal_prior_keep_their_length():
    a, b = RandomStreams(0, 200).normal((64,)), RandomStreams(1, 200).normal((64,))
    middle = [interpolation(a, b, 3, s)[:, 1].norm(dim=1).mean() for s in (False, True)]
    assert abs(middle[1] - 8) < 0.1
    assert middle[0] < 6  # the chord's middle is nearer to the origin, where no draw lies
