"""The VAE: capabilities, bounds, random streams, every likelihood, and learning to a stated figure."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from genlab.core import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    CanSample,
    Condition,
    DataSpec,
    HasLogProb,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Digits
from genlab.families import VAE, FactorVAE
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    FlowPrior,
    HouseholderPosterior,
    IAFPosterior,
    VampPrior,
)
from genlab.objectives import DIP, ELBO, IWAE, MMD, TotalCorrelation
from genlab.probability import (
    Bernoulli,
    BetaBinomial,
    Categorical,
    DiscretisedLogistic,
    Gaussian,
    bits_per_dimension,
)

SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17), "label": ModalitySpec(num_classes=10)})


def encoder(spec, num_features):
    return ConvEncoder(spec, num_features, channels=[8, 16])


def decoder(spec, num_features, num_channels):
    return ConvDecoder(spec, num_features, num_channels, channels=[8, 16])


def make(**parts):
    torch.manual_seed(0)
    return VAE(SPEC, **{"encoder": encoder, "decoder": decoder, "latent_dim": 4, **parts}).eval()


def images(num=6):
    generator = torch.Generator().manual_seed(0)
    return SPEC["image"].values(torch.randint(17, (num, 1, 8, 8), generator=generator))


def trainer(steps, **settings):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(accelerator="cpu", max_steps=steps, enable_model_summary=False, **quiet, **settings)


def test_capabilities_and_their_shapes():
    vae, x = make(), images()
    for capability in (CanSample, HasLogProb, CanEncode, CanDecode, CanReconstruct):
        assert isinstance(vae, capability)
    assert vae.encode(x).shape == (6, 4)
    assert vae.reconstruct(x).shape == x.shape
    assert torch.equal(vae.reconstruct(x), vae.decode(vae.encode(x)))
    samples = vae.sample(5, rng=RandomStreams(0, 5))
    assert samples.shape == (5, 1, 8, 8)
    assert samples.abs().max() <= 1
    assert vae.sampling_protocol()["output"] == "draw"


@pytest.mark.parametrize("likelihood", [Categorical, Bernoulli, BetaBinomial, DiscretisedLogistic, Gaussian])
@pytest.mark.parametrize("output", ["mean", "draw"])
def test_samples_do_not_depend_on_the_batch_size(likelihood, output):
    vae = make(likelihood=likelihood, output=output)
    whole = vae.sample(10, rng=RandomStreams(3, 10))
    parts = torch.cat([vae.sample(len(rng), rng=rng) for rng in RandomStreams(3, 10).split(4)])
    # A draw may fall on the other side of a level's edge if the decoder's last bits differ: none does here.
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
    assert not torch.equal(whole, vae.sample(10, rng=RandomStreams(4, 10)))


def test_log_prob_does_not_depend_on_batch_or_chunk_and_says_what_it_is():
    vae, x = make(num_importance_samples=20), images()
    rng = RandomStreams(0, 6)
    whole = vae.log_prob(x, rng=rng)
    assert (whole.kind, whole.measure, whole.method) == ("estimate", "discrete", "IWAE, 20 samples")
    vae.chunk_size = 7
    parts = torch.cat([vae.log_prob(x[r.indices], rng=r).nats for r in RandomStreams(0, 6).split(4)])
    torch.testing.assert_close(whole.nats, parts)
    elbo = vae.log_prob(x, rng=RandomStreams(0, 6), num_samples=1)
    assert (elbo.kind, elbo.method) == ("bound", "ELBO, 1 sample")
    assert make(likelihood=Gaussian).log_prob(x, num_samples=2).measure == "dequantised"


def test_chunks_bound_the_rows_in_the_decoder():
    vae = make(chunk_size=16)
    rows = []
    vae.decoder.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    vae.log_prob(images(6), num_samples=9)
    assert max(rows) <= 16
    assert sum(rows) == 6 * 9


class Linear(nn.Module):
    """z -> W z, in the shape of data."""

    def __init__(self, in_features, shape):
        super().__init__()
        self.map = nn.Linear(in_features, torch.Size(shape).numel())
        self.shape = shape

    def forward(self, z):
        return self.map(z.flatten(1)).unflatten(1, self.shape)


def linear(**parts):
    """A linear-Gaussian model of vectors of 5 values by 2 latents."""
    torch.manual_seed(0)
    return VAE(
        DataSpec("vectors", {"vector": ModalitySpec((5,))}),
        encoder=lambda spec, num_features: Linear(5, (num_features,)),
        decoder=lambda spec, latent_dim, num_channels: Linear(latent_dim, (num_channels,)),
        likelihood=lambda spec: Gaussian(spec, scale="shared"),
        latent_dim=2,
        **parts,
    )


def test_log_prob_reaches_the_exact_one_of_a_linear_gaussian_model():
    vae = linear()
    weight, x = vae.decoder.map.weight, 0.5 * torch.randn(16, 5)
    scale = vae.likelihood.min_scale + nn.functional.softplus(vae.likelihood.shared)
    covariance = weight @ weight.T + scale**2 * torch.eye(5)
    exact = torch.distributions.MultivariateNormal(vae.decoder.map.bias, covariance).log_prob(x)
    elbo = torch.stack([vae.log_prob(x, rng=RandomStreams(s, 16), num_samples=1).nats for s in range(200)])
    iwae = vae.log_prob(x, rng=RandomStreams(0, 16), num_samples=5000)
    assert iwae.measure == "density"
    torch.testing.assert_close(iwae.nats, exact, atol=0.1, rtol=0)
    assert (elbo.mean(0) < exact).all()
    assert (elbo.mean(0) < iwae.nats).all()


def test_kl_per_dimension_adds_up_and_is_zero_where_the_code_ignores_x():
    vae, x = make(), images()
    kl = vae.kl_per_dimension(x)
    assert kl.shape == (6, 4)
    _, terms = vae.objective(x, vae.posterior(x), vae.prior(vae.encode(x)), vae.log_likelihood)
    torch.testing.assert_close(kl.sum(1).mean(), terms["kl"])
    last = vae.encoder.head[-1]
    with torch.no_grad():
        for row in (1, 4 + 1):  # mean and log scale of dimension 1
            last.weight[row], last.bias[row] = 0, 0
    kl = vae.kl_per_dimension(x)
    assert (kl[:, 1] == 0).all()
    assert (kl[:, [0, 2, 3]] > 0).all()


@pytest.mark.parametrize("objective", [None, IWAE(num_samples=3)])
def test_names_that_are_logged(objective):
    vae, run = make(objective=objective), trainer(2, limit_val_batches=1, val_check_interval=2)
    run.fit(vae.train(), Digits(batch_size=32))
    names = set(run.logged_metrics)
    assert {"train/loss", "train/bpd", "train/kl", "train/active_dimensions", "val/bpd", "val/kl"} <= names
    assert all(torch.isfinite(value) for value in run.logged_metrics.values())


def test_half_precision_networks_give_full_precision_bounds():
    vae, x = make(), images()
    with torch.autocast("cpu", torch.bfloat16):
        found = vae.log_prob(x, num_samples=4).nats
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, vae.log_prob(x, num_samples=4).nats, rtol=0.02, atol=0)


def test_it_learns_digits_below_a_histogram():
    """A histogram per pixel has 2.43 bits per dimension here, the uniform distribution log2 17 = 4.09."""
    data = Digits(batch_size=64)
    (batch,) = data.batches("val", batch_size=512)
    vae = make(likelihood=BetaBinomial, optimizer=lambda params: torch.optim.AdamW(params, 3e-3))

    def bits():
        nats = vae.eval().log_prob(batch["image"], num_samples=10).nats
        return bits_per_dimension(nats, data.spec["image"]).mean().item()

    untrained = bits()
    trainer(250, limit_val_batches=0).fit(vae.train(), data)
    assert untrained > 3
    assert bits() < 2.25


def test_what_a_call_cannot_use_is_named():
    vae, x = make(), images()
    condition = Condition(label=torch.arange(6))
    for call in (vae.sample, lambda num, **settings: vae.log_prob(x, **settings)):
        with pytest.raises(UserError, match="condition: got 'Condition', expected none"):
            call(6, condition=condition, rng=RandomStreams(0, 6))
        with pytest.raises(UserError, match="rng: got '5 streams', expected 6"):
            call(6, rng=RandomStreams(0, 5))
    with pytest.raises(UserError, match="num_samples: got 0"):
        vae.log_prob(x, num_samples=0)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"latent_dim": 0}, "latent_dim: got 0"),
        ({"num_importance_samples": 0}, "num_importance_samples: got 0"),
        ({"chunk_size": 0}, "chunk_size: got 0"),
        ({"output": "median"}, "output: got 'median'"),
    ],
)
def test_wrong_arguments_are_named(settings, argument):
    with pytest.raises(UserError, match=argument):
        make(**settings)


PARTS = {
    "householder": {"posterior": HouseholderPosterior},
    "iaf": {"posterior": partial(IAFPosterior, context_dim=8, width=16)},
    "vamp": {"prior": partial(VampPrior, num_components=5)},
    "flow": {"prior": partial(FlowPrior, num_couplings=2, width=8)},
}


def with_parts(name):
    """A VAE with these parts, away from where they start."""
    vae = make(**PARTS[name])
    for p in [*vae.posterior_part.parameters(), *vae.prior_part.parameters()]:
        p.data += 0.2 * torch.randn_like(p)
    return vae


@pytest.mark.parametrize("name", PARTS)
def test_parts_keep_bounds_and_samples_of_a_stream_each(name):
    vae, x = with_parts(name), images()
    whole = vae.log_prob(x, rng=RandomStreams(0, 6), num_samples=9).nats
    vae.chunk_size = 7
    some = [vae.log_prob(x[r.indices], rng=r, num_samples=9).nats for r in RandomStreams(0, 6).split(4)]
    torch.testing.assert_close(whole, torch.cat(some))
    z = vae.prior_part.sample(RandomStreams(3, 8), vae.posterior)
    some = [vae.prior_part.sample(rng, vae.posterior) for rng in RandomStreams(3, 8).split(3)]
    torch.testing.assert_close(z, torch.cat(some))
    assert vae.sample(5, rng=RandomStreams(0, 5)).shape == (5, 1, 8, 8)
    assert vae.encode(x).shape == (6, 4)
    at_fault = "posterior" if "posterior" in PARTS[name] else "prior"
    with pytest.raises(UserError, match=f"^{at_fault}: got .* expected a diagonal Gaussian for KLs"):
        vae.kl_per_dimension(x)


@pytest.mark.parametrize("name", PARTS)
def test_bounds_rise_to_the_log_likelihood_with_any_part(name):
    """Two latents and a linear decoder: log p(x) is an integral over a grid."""
    vae = linear(**PARTS[name])
    for p in vae.parameters():
        p.data += 0.2 * torch.randn_like(p)
    x, axis = 0.5 * torch.randn(3, 5), torch.linspace(-9, 9, 151)
    z = torch.cartesian_prod(axis, axis)[:, None].expand(-1, 3, -1)
    with torch.no_grad():
        joint = vae.log_likelihood(x, z) + vae.prior(z).log_prob(z)
    exact = torch.logsumexp(joint, 0) + 2 * (axis[1] - axis[0]).log()
    bounds, errors = [], []
    for k in (1, 8, 64):
        nats = vae.log_prob(x.repeat_interleave(300, 0), rng=RandomStreams(k, 900), num_samples=k).nats
        bounds.append(nats.view(3, 300).mean(1))
        errors.append(nats.view(3, 300).std(1) / 300**0.5)
    for lower, upper, error in zip(bounds, [*bounds[1:], exact], errors, strict=True):
        assert (lower <= upper + 4 * error).all()
    assert (exact - bounds[0] > 0.05).all(), "the posterior is not the true one"
    many = vae.log_prob(x, rng=RandomStreams(0, 3), num_samples=4000).nats
    torch.testing.assert_close(many, exact, atol=0.1, rtol=0)


def test_half_precision_networks_give_full_precision_bounds_with_any_part():
    for name in PARTS:
        vae, x = with_parts(name), images()
        with torch.autocast("cpu", torch.bfloat16):
            found = vae.log_prob(x, num_samples=4).nats
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, vae.log_prob(x, num_samples=4).nats, rtol=0.05, atol=0)


@pytest.mark.parametrize("family", [VAE, FactorVAE])
@pytest.mark.parametrize(
    ("penalty", "posterior", "says"),
    [
        (
            TotalCorrelation(),
            IAFPosterior,
            "PushForward', expected a diagonal Gaussian for a total correlation",
        ),
        (
            DIP(variant="II"),
            HouseholderPosterior,
            "RotatedGaussian', expected a diagonal Gaussian for DIP-VAE-II",
        ),
    ],
)
def test_a_penalty_that_is_not_for_this_posterior_is_refused_when_the_model_is_made(
    family, penalty, posterior, says
):
    parts = {"encoder": encoder, "decoder": decoder, "latent_dim": 4, "posterior": posterior}
    with pytest.raises(UserError, match=f"posterior: got '{says}"):
        family(SPEC, objective=ELBO(penalties=[penalty]), **parts)
    family(SPEC, objective=ELBO(penalties=[DIP(variant="I"), MMD()]), **parts)
