"""The hierarchical VAE: capabilities, bounds, KL by level, temperature, conditions, and learning to a stated figure."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch

from genlab.core import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    CanSample,
    Condition,
    DataSpec,
    HasLogProb,
    HasLosses,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Digits
from genlab.families import HierarchicalVAE
from genlab.networks import LadderDecoder, LadderEncoder
from genlab.objectives import LadderELBO
from genlab.probability import (
    AbsolutePosterior,
    BetaBinomial,
    Categorical,
    DiscretisedLogistic,
    PrecisionWeightedPosterior,
    ResidualPosterior,
    bits_per_dimension,
)

SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17), "label": ModalitySpec(num_classes=10)})
POSTERIORS = [AbsolutePosterior, ResidualPosterior, PrecisionWeightedPosterior]


def make(seed=0, conditional=False, **parts):
    """A model of three levels away from its start, where latents and labels do nothing."""
    torch.manual_seed(seed)
    encoder = partial(LadderEncoder, channels=[8, 16])
    levels = {"num_levels": [1, 2], "latent_channels": 2}
    decoder = partial(LadderDecoder, channels=[8, 16], **levels, conditional=conditional)
    model = HierarchicalVAE(SPEC, encoder, decoder, **parts).eval()
    for p in model.parameters():
        p.data += 0.05 * torch.randn_like(p)
    return model


def images(num=6):
    generator = torch.Generator().manual_seed(0)
    return SPEC["image"].values(torch.randint(17, (num, 1, 8, 8), generator=generator))


def trainer(steps, **settings):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(accelerator="cpu", max_steps=steps, enable_model_summary=False, **quiet, **settings)


def test_capabilities_and_their_shapes():
    model, x = make(), images()
    for capability in (CanSample, HasLogProb, HasLosses, CanEncode, CanDecode, CanReconstruct):
        assert isinstance(model, capability)
    assert model.latent_dim == 2 * (2 * 16 + 64)
    assert model.encode(x).shape == (6, *model.latent_spec.shape) == (6, model.latent_dim)
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x)))
    assert model.reconstruct(x).shape == x.shape
    samples = model.sample(5, rng=RandomStreams(0, 5))
    assert samples.shape == (5, 1, 8, 8)
    assert samples.abs().max() <= 1


@pytest.mark.parametrize("likelihood", [Categorical, DiscretisedLogistic])
@pytest.mark.parametrize("output", ["mean", "draw"])
def test_samples_do_not_depend_on_the_batch_size(likelihood, output):
    model = make(likelihood=likelihood, output=output)
    whole = model.sample(10, rng=RandomStreams(3, 10))
    parts = torch.cat([model.sample(len(rng), rng=rng) for rng in RandomStreams(3, 10).split(4)])
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
    assert not torch.equal(whole, model.sample(10, rng=RandomStreams(4, 10)))


def test_log_prob_does_not_depend_on_batch_or_chunk_and_says_what_it_is():
    model, x = make(num_importance_samples=9), images()
    whole = model.log_prob(x, rng=RandomStreams(0, 6))
    assert (whole.kind, whole.measure, whole.method) == ("estimate", "discrete", "IWAE, 9 samples")
    model.chunk_size, rows = 13, []
    model.decoder.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    parts = torch.cat([model.log_prob(x[r.indices], rng=r).nats for r in RandomStreams(0, 6).split(4)])
    torch.testing.assert_close(whole.nats, parts)
    assert max(rows) <= 13
    assert sum(rows) == 6 * 9
    elbo = model.log_prob(x, num_samples=1)
    assert (elbo.kind, elbo.method) == ("bound", "ELBO, 1 sample")


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_bounds_rise_with_the_number_of_samples(posterior):
    model = make(posterior=posterior())
    x = images(2).repeat_interleave(150, 0)
    bounds, errors = [], []
    for k in (1, 5, 25):
        nats = model.log_prob(x, rng=RandomStreams(k, 300), num_samples=k).nats.view(2, 150)
        bounds.append(nats.mean(1))
        errors.append(nats.std(1) / 150**0.5)
    for lower, upper, error in zip(bounds, bounds[1:], errors, strict=False):
        assert (lower <= upper + 4 * error).all()
    assert (bounds[0] < bounds[-1] - 0.5).all()


def test_the_loss_is_minus_the_mean_of_one_sample_bounds():
    model, x = make(), images(1).repeat(2000, 1, 1, 1)
    torch.manual_seed(0)
    with torch.no_grad():
        terms = model.losses("val", {"image": x})
    bounds = model.log_prob(x, num_samples=1).nats
    assert (terms["elbo"] - bounds.mean()).abs() < 6 * bounds.std() / 2000**0.5
    parts = sum(terms[f"kl_{level}"] for level in (1, 2, 3))
    torch.testing.assert_close(terms["kl"], parts)
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"])
    torch.testing.assert_close(terms["bpd"], bits_per_dimension(terms["elbo"], SPEC["image"]))


def test_temperature_scales_the_noise_and_0_takes_it_away():
    model = make(output="mean")
    warm = model.sample(8, rng=RandomStreams(0, 8))
    assert warm.std(0).max() > 0.01
    model.temperature = 0.0
    cold = model.sample(8, rng=RandomStreams(0, 8))
    assert torch.equal(cold, model.sample(8, rng=RandomStreams(1, 8)))
    torch.testing.assert_close(cold, model.decode(torch.zeros(8, model.latent_dim)))
    model.temperature = 0.5
    assert model.sample(8, rng=RandomStreams(0, 8)).std(0).mean() < 0.9 * warm.std(0).mean()
    assert model.sampling_protocol()["temperature"] == 0.5


def test_latents_are_the_priors_noise():
    model = make(output="mean")
    eps = RandomStreams(0, 4).normal((model.latent_dim,))
    torch.testing.assert_close(model.decode(eps), model.sample(4, rng=RandomStreams(0, 4)))


def test_classes_change_samples_bounds_and_only_then_matter():
    model, x = make(conditional=True, output="mean"), images()
    assert (model.conditions, model.conditional) == (("label",), True)
    labels = [Condition(label=torch.full((6,), label)) for label in (1, 2)]
    for call in (lambda c: model.sample(6, condition=c, rng=RandomStreams(0, 6)), model_bound(model, x)):
        one, other = map(call, labels)
        assert not torch.allclose(one, other, atol=1e-6)
        assert not torch.allclose(one, call(None), atol=1e-6), "without a class it is another model"
    assert make().conditions == ()
    with pytest.raises(UserError, match="condition: got 'Condition', expected none"):
        make().sample(6, condition=labels[0], rng=RandomStreams(0, 6))


def model_bound(model, x):
    return lambda condition: model.log_prob(x, condition=condition, num_samples=2).nats


def test_names_that_are_logged():
    model, run = make(), trainer(2, limit_val_batches=1, val_check_interval=2)
    run.fit(model.train(), Digits(batch_size=32))
    names = {
        f"{phase}/{name}" for phase in ("train", "val") for name in ("bpd", "kl", "kl_1", "kl_2", "kl_3")
    }
    assert names <= set(run.logged_metrics)
    assert all(torch.isfinite(value) for value in run.logged_metrics.values())


def test_half_precision_networks_give_full_precision_bounds():
    model, x = make(), images()
    with torch.autocast("cpu", torch.bfloat16):
        found = model.log_prob(x, num_samples=4).nats
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, model.log_prob(x, num_samples=4).nats, rtol=0.03, atol=0)


def test_it_learns_digits_below_a_histogram_with_its_latents():
    """A histogram per pixel has 2.43 bits per dimension here, the uniform distribution log2 17 = 4.09."""
    data = Digits(batch_size=64)
    (batch,) = data.batches("val", batch_size=512)
    optimizer = partial(torch.optim.AdamW, lr=3e-3)
    model = make(likelihood=BetaBinomial, optimizer=optimizer, objective=LadderELBO(warmup=50))

    def bits():
        nats = model.eval().log_prob(batch["image"], num_samples=5).nats
        return bits_per_dimension(nats, data.spec["image"]).mean().item()

    untrained = bits()
    trainer(200, limit_val_batches=0).fit(model.train(), data)
    assert untrained > 3
    assert bits() < 2.25
    with torch.no_grad():
        assert model.losses("val", batch)["kl"] > 3, "nats"


def test_what_a_call_cannot_use_is_named():
    model = make()
    with pytest.raises(UserError, match="num_samples: got 0"):
        model.log_prob(images(), num_samples=0)
    for call in (model.sample, lambda num, rng: model.log_prob(images(num), rng=rng)):
        with pytest.raises(UserError, match="rng: got '5 streams', expected 6"):
            call(6, rng=RandomStreams(0, 5))


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"num_importance_samples": 0}, "num_importance_samples: got 0"),
        ({"chunk_size": 0}, "chunk_size: got 0"),
        ({"temperature": -1.0}, "temperature: got -1.0"),
        ({"output": "median"}, "output: got 'median'"),
        ({"label_dropout": 2.0}, "label_dropout: got 2.0"),
    ],
)
def test_wrong_arguments_are_named(settings, argument):
    with pytest.raises(UserError, match=argument):
        make(**settings)


def test_a_ladder_that_never_loses_its_classes_is_refused():
    for dropout in (0.0, {}):
        with pytest.raises(UserError, match=r"label_dropout: got .*expected a positive share of label"):
            make(conditional=True, label_dropout=dropout)
    make(label_dropout=0.0)


def test_networks_that_do_not_fit_are_named():
    decoder = partial(LadderDecoder, channels=[8, 8])
    with pytest.raises(UserError, match=r"encoder: got .* expected the decoder's features"):
        HierarchicalVAE(SPEC, partial(LadderEncoder, channels=[8, 16]), decoder)
