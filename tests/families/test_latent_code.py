"""What a VAE tells of its code: draws of posterior and prior, and the rate."""

from functools import partial

import pytest
import torch

from genlab.core import (
    DataSpec,
    HasLatentKL,
    HasLatentPrior,
    HasPosterior,
    HasRate,
    ModalitySpec,
    RandomStreams,
)
from genlab.families import VAE, FactorVAE
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    FlowPrior,
    HouseholderPosterior,
    IAFPosterior,
    VampPrior,
)

SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17)})
SMALL = {"encoder": partial(ConvEncoder, channels=(4, 8)), "decoder": partial(ConvDecoder, channels=(4, 8))}


def vae(family=VAE, **parts):
    torch.manual_seed(0)
    return family(SPEC, latent_dim=4, **SMALL, **parts).eval()


def data(num):
    torch.manual_seed(2)
    return SPEC["image"].values(torch.randint(17, (num, 1, 8, 8)))


PARTS = {
    "plain": {},
    "rotated": {"posterior": HouseholderPosterior},
    "flow": {"posterior": IAFPosterior},
    "vamp": {"prior": partial(VampPrior, num_components=3)},
    "flow prior": {"prior": FlowPrior},
}


@pytest.mark.parametrize("name", PARTS)
@torch.no_grad()
def test_draws_are_of_their_stream_alone_and_the_rate_is_the_divergence(name):
    model, x = vae(**PARTS[name]), data(6)
    for capability in (HasPosterior, HasLatentPrior, HasLatentKL, HasRate):
        assert isinstance(model, capability)
    whole, part = (model.encode_draw(x[i:], RandomStreams(3, range(i, 6))) for i in (0, 4))
    torch.testing.assert_close(whole[4:], part)
    assert whole.shape == model.encode(x).shape
    many = model.encode_draw(x[:1].expand(4000, 1, 8, 8), RandomStreams(0, 4000))
    assert many.std(0).min() > 0.01
    if name in ("plain", "rotated"):
        torch.testing.assert_close(many.mean(0), model.encode(x)[0], atol=0.12, rtol=0)
    prior, tail = (model.sample_latents(RandomStreams(3, range(i, 6))) for i in (0, 4))
    torch.testing.assert_close(prior[4:], tail)
    assert prior.shape == (6, 4)

    posterior = model.posterior(x[:1].expand(4000, 1, 8, 8))
    z, log_q = posterior.draw(RandomStreams(1, 4000).normal((4,)))
    ratio = log_q() - model.prior(z).log_prob(z)
    rates = model.rate(x[:1].expand(4000, 1, 8, 8), RandomStreams(2, 4000))
    error = 4 * (ratio.var() / 4000 + rates.var() / 4000).sqrt() + 1e-4
    assert abs(rates.mean() - ratio.mean()) < error
    assert rates.mean() > -error


@torch.no_grad()
def test_the_closed_form_is_the_sum_over_dimensions():
    model, x = vae(FactorVAE), data(5)
    assert model.normal_prior
    assert model.has_latent_kl
    torch.testing.assert_close(model.rate(x, RandomStreams(0, 5)), model.kl_per_dimension(x).sum(1))
    for parts in ({"posterior": IAFPosterior}, {"prior": FlowPrior}):
        assert not vae(**parts).has_latent_kl
    assert not vae(prior=FlowPrior).normal_prior


@torch.no_grad()
def test_latents_that_are_maps_keep_their_shape():
    model = VAE(
        SPEC,
        partial(ConvEncoder, channels=(4, 8), spatial=True),
        partial(ConvDecoder, channels=(4, 8), spatial=True),
        latent_dim=32,
    )
    x = data(3)
    assert (
        model.encode_draw(x, RandomStreams(0, 3)).shape
        == model.encode(x).shape
        == (3, *model.latent_spec.shape)
    )
    assert model.sample_latents(RandomStreams(0, 3)).shape == (3, *model.latent_spec.shape)
