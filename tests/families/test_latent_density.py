"""Densities of vectors and of a frozen first stage's latents: the truth on points, what is refused, samples."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from genlab.core import (
    Condition,
    DataSpec,
    Frozen,
    HasLatentPrior,
    HasLogProb,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Digits, Encoded, Synthetic
from genlab.families import VAE, Autoencoder, Cosine, DensityEstimator, Diffusion, LatentDensity
from genlab.metrics import ClasswiseGaussian, DigitsFeatures, FeatureStatistics
from genlab.metrics.reference import gather_data
from genlab.networks import MLP, ConvDecoder, ConvEncoder, FlowDensity, MixtureDensity
from genlab.probability import EightGaussians

GENTLE = partial(torch.optim.AdamW, lr=1e-5)


def fit(model, data, steps, limit_val_batches=1):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        enable_model_summary=False,
        limit_val_batches=limit_val_batches,
        **quiet,
    )
    trainer.fit(model, data)
    return model.eval()


class Halves(nn.Module):
    """Encodes digits by the means of 2x2 blocks, and decodes by repeating them."""

    def __init__(self, spec: DataSpec):
        super().__init__()
        self.spec = spec
        self.latent_spec = DataSpec(spec.name, {"latent": ModalitySpec((1, 4, 4))})
        self.register_buffer("gain", torch.tensor(3.0))

    def encode(self, x: Tensor) -> Tensor:
        return self.gain * nn.functional.avg_pool2d(x, 2) + 1

    def decode(self, z: Tensor) -> Tensor:
        return ((z - 1) / self.gain).repeat_interleave(2, 2).repeat_interleave(2, 3).clamp(-1, 1)


def test_draws_of_the_density_are_latents_as_the_first_stage_gives_them(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path))
    spec = Digits().spec
    model = LatentDensity(
        spec,
        Frozen(model=Halves(spec)),
        partial(DensityEstimator, density=partial(MixtureDensity, num_components=1), optimizer=GENTLE),
    )
    stage, encoded = model.first_stage.model, []
    once = stage.encode
    stage.encode = lambda x: encoded.append(len(x)) or once(x)
    fit(model, Encoded(Digits(batch_size=100, limit=400)), 1, limit_val_batches=0)
    assert sum(encoded) == 400, "what was encoded is kept"
    assert isinstance(model, HasLatentPrior)
    assert not model.normal_prior
    z = model.sample_latents(RandomStreams(0, 500))
    (batch,) = Digits(limit=400).batches("train", batch_size=400)
    assert z.shape == (500, *model.latent_spec.shape)
    torch.testing.assert_close(z.mean(0), model.encode(batch["image"]).mean(0), atol=0.6, rtol=0)
    torch.testing.assert_close(model.decode(z[:9]), model.sample(9, rng=RandomStreams(0, 9)))
    torch.testing.assert_close(z[400:], model.sample_latents(RandomStreams(0, range(400, 500))))


def test_a_mixture_of_points_reaches_the_truth():
    density = EightGaussians()
    data = Synthetic(density, num_train=4000, num_test=2000, batch_size=500)
    model = DensityEstimator(data.spec, partial(MixtureDensity, num_components=8, ridge=1e-6), GENTLE)
    x = next(data.batches("test", batch_size=2000))["vector"]
    untrained = model.log_prob(x).nats.mean().item()
    fit(model, data, 4)
    found, truth = model.log_prob(x), density.log_prob(x.double()).mean().item()
    assert isinstance(model, HasLogProb)
    assert (found.kind, found.measure) == ("exact", "density")
    assert found.nats.mean().item() == pytest.approx(truth, abs=0.05)
    assert untrained < truth - 1
    assert model.losses("val", {"vector": x})["loss"].item() == pytest.approx(
        -found.nats.mean().item(), abs=1e-4
    )
    samples = model.sample(2000, rng=RandomStreams(0, 2000))
    assert density.log_prob(samples.double()).mean().item() == pytest.approx(truth, abs=0.1)


def test_a_flow_of_points_learns_beyond_their_gaussian():
    data = Synthetic(EightGaussians(), num_train=4000, num_test=2000, batch_size=500)
    torch.manual_seed(0)
    model = DensityEstimator(
        data.spec, partial(FlowDensity, num_couplings=6, width=32), partial(torch.optim.AdamW, lr=5e-3)
    )
    x = next(data.batches("test", batch_size=2000))["vector"]
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T)).log_prob(x).mean().item()
    fit(model, data, 250)
    assert model.log_prob(x).nats.mean().item() > gaussian + 0.5


@pytest.fixture
def digits(monkeypatch, tmp_path) -> Encoded:
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path))
    return Encoded(Digits(batch_size=128))


def test_a_density_of_latents_samples_digits_by_class(digits):
    stage = Halves(digits.spec)
    prior = partial(DensityEstimator, density=partial(MixtureDensity, ridge=0.05), optimizer=GENTLE)
    model = fit(LatentDensity(digits.spec, Frozen(model=stage), prior), digits, 2)
    assert model.conditions == ("label",)
    assert model.averaged_modules() == ["prior.density"]
    assert model.prior.started
    assert model.sampling_protocol()["density"] == "MixtureDensity"
    assert set(model.losses("val", next(digits.data.batches("train")))) == {"loss"}
    # The start was made at scaled latents, whose channels have mean 0 and deviation 1 over all positions.
    assert abs(model.prior.density.means.mean().item()) < 0.1

    x, label = gather_data(digits.data.batches("val"), "image")
    drawn = model.sample(len(x), condition=Condition(label=label), rng=RandomStreams(0, len(x)))
    again = model.sample(3, condition=Condition(label=label[:3]), rng=RandomStreams(0, 3))
    torch.testing.assert_close(drawn[:3], again)
    assert model.sample(4, rng=RandomStreams(0, 4)).shape == (4, 1, 8, 8)
    features = DigitsFeatures()
    about = lambda y: FeatureStatistics.of(features(y, digits.spec["image"])[0])  # noqa: E731
    blocks = stage.decode(stage.encode(x))
    noise = stage.decode(stage.encode(ClasswiseGaussian(blocks, None).sample(None, RandomStreams(0, len(x)))))
    assert about(drawn).frechet(about(blocks)) < about(noise).frechet(about(blocks)) / 2, (
        "classes are told apart"
    )


@pytest.mark.slow
def test_an_autoencoder_with_a_mixture_samples_better_than_a_gaussian_of_each_class(digits):
    torch.manual_seed(0)
    widths = {"channels": [16, 32]}
    first = Autoencoder(
        digits.spec,
        partial(ConvEncoder, **widths),
        partial(ConvDecoder, **widths),
        optimizer=partial(torch.optim.AdamW, lr=3e-3, betas=(0.9, 0.99)),
        schedule=Cosine(400, 0.05),
    )
    fit(first, digits.data, 400)
    mixture = partial(MixtureDensity, num_components=2)
    prior = partial(DensityEstimator, density=mixture, optimizer=GENTLE)
    model = fit(LatentDensity(digits.spec, Frozen(model=first), prior), digits, 2)
    x, label = gather_data(digits.data.batches("val"), "image")
    gaussian = ClasswiseGaussian(*gather_data(digits.data.batches("train"), "image"))
    features = DigitsFeatures()
    about = lambda y: FeatureStatistics.of(features(y, digits.spec["image"])[0])  # noqa: E731
    truth, streams = about(x), [RandomStreams(0, range(i * len(x), (i + 1) * len(x))) for i in range(3)]
    ours = [model.sample(len(x), condition=Condition(label=label), rng=rng) for rng in streams]
    theirs = [gaussian.sample(label, rng) for rng in streams]
    found, baseline = (sum(about(y).frechet(truth) for y in side) / 3 for side in (ours, theirs))
    assert found < 0.8 * baseline, (found, baseline)


def test_parts_that_do_not_fit_are_refused():
    spec = Digits(limit=5).spec
    stage = Frozen(model=VAE(spec, ConvEncoder, ConvDecoder, latent_dim=4))
    prior = partial(DensityEstimator, density=MixtureDensity)
    assert LatentDensity(spec, stage, prior).latent_spec.shape == (4,)
    with pytest.raises(UserError, match="prior: got 'Diffusion', expected a family with StartsFromData"):
        LatentDensity(spec, stage, partial(Diffusion, network=partial(MLP, width=8)))
    other = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 256)})
    with pytest.raises(UserError, match=r"first_stage: got .*17 levels.*expected .*256 levels"):
        LatentDensity(other, stage, prior)
    model = DensityEstimator(Synthetic(EightGaussians(), limit=5).spec)
    with pytest.raises(UserError, match="data: got 'values that are not finite'"):
        model.start([{"vector": torch.full((2, 2), float("nan"))}])
    with pytest.raises(UserError, match="condition: got 'Condition', expected none"):
        model.sample(1, condition=Condition(label=torch.zeros(1, dtype=torch.int64)), rng=RandomStreams(0, 1))
