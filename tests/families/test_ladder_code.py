"""What a ladder of latents tells of its code: draws of posterior and prior, KLs, and a point of rate and distortion."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from genlab.callbacks.views.registry import choose_views
from genlab.core import (
    DataSpec,
    HasLatentKL,
    HasLatentPrior,
    HasPosterior,
    HasRate,
    ModalitySpec,
    RandomStreams,
)
from genlab.data import Digits
from genlab.experiments.evaluation import evaluate
from genlab.experiments.evaluation_plan import Request
from genlab.experiments.loading import Loaded
from genlab.families import HierarchicalVAE
from genlab.networks import LadderDecoder, LadderEncoder

DATA = Digits(limit=60)
SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})


def make():
    """Two levels, moved away from the start, where priors are N(0, I)."""
    torch.manual_seed(0)
    decoder = partial(LadderDecoder, channels=[8, 16], num_levels=[1, 1], latent_channels=1)
    model = HierarchicalVAE(SPEC, partial(LadderEncoder, channels=[8, 16]), decoder).eval()
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return model


def images(num):
    return next(DATA.batches("train", batch_size=num))["image"]


def test_it_has_what_asks_for_codes():
    model = make()
    for capability in (HasPosterior, HasLatentPrior, HasLatentKL, HasRate):
        assert isinstance(model, capability)
    assert model.normal_prior
    assert {"prior", "posterior", "aggregate"} <= set(choose_views("auto", model))


@torch.no_grad()
def test_draws_are_of_their_streams_and_stand_about_the_means():
    model, x = make(), images(6)
    whole, part = (model.encode_draw(x[i:], RandomStreams(3, range(i, 6))) for i in (0, 4))
    torch.testing.assert_close(whole[4:], part, atol=1e-5, rtol=1e-5)
    prior, tail = (model.sample_latents(RandomStreams(3, range(i, 6))) for i in (0, 4))
    assert torch.equal(prior[4:], tail)
    assert prior.shape == whole.shape == (6, *model.latent_spec.shape)
    many = model.encode_draw(x[:1].expand(4000, 1, 8, 8), RandomStreams(0, 4000))
    top = math.prod(model.descent.shapes[0])
    torch.testing.assert_close(many.mean(0)[:top], model.encode(x[:1])[0, :top], atol=0.1, rtol=0)
    assert many.std(0).min() > 0.01


@torch.no_grad()
def test_the_rate_is_the_divergence_of_whole_posteriors():
    """Mean over draws of log q(z | x) - log p(z), which knows nothing of the levels' closed forms."""
    model = make()
    x = images(1).expand(4000, 1, 8, 8)
    rates = model.rate(x, RandomStreams(2, 4000))
    eps = model.descent.maps(RandomStreams(1, 4000).normal((model.latent_dim,)))
    _, levels = model.descent(lambda i, _, q: q.sample(eps[i]), 4000, model.encoder(x))
    ratios = -sum(level.log_weight() for level in levels)
    error = 4 * (rates.var() / 4000 + ratios.var() / 4000).sqrt()
    assert abs(rates.mean() - ratios.mean()) < error < 0.05 * rates.mean()
    top = math.prod(model.descent.shapes[0])
    per_dimension = model.kl_per_dimension(x[:2])
    assert per_dimension.shape == (2, model.latent_dim)
    torch.testing.assert_close(per_dimension[0, :top].sum(), levels[0].kl()[0])


def test_an_evaluation_gives_its_point_of_rate_and_distortion():
    model = make()
    section = {"class_path": "genlab.data.Digits", "init_args": {"limit": 60}}
    loaded = Loaded(model, SPEC, {"data": section, "model": {}}, "raw", Path("x.ckpt"), None, 7, {})
    scores = evaluate(loaded, Request(metrics=["rate"], baselines=False))["scores"]
    x = torch.cat([batch["image"] for batch in DATA.batches("test")])
    with torch.no_grad():
        nats = model.rate(x, RandomStreams(0, len(x))).mean().item()
    assert scores["rate_bits"]["value"] == pytest.approx(nats / math.log(2), rel=1e-4)
    assert 0 < scores["distortion_mse"]["value"] < 4
