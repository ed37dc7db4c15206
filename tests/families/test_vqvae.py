"""VQ-VAE of any quantiser: what its tokens are and are worth, and averages of weights that keep to the codebook."""

import math
from functools import partial

import lightning.pytorch as pl
import pytest
import torch

from genlab.callbacks import Ema, Reproducible
from genlab.core import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    CanTokenize,
    HasLogProb,
    RandomStreams,
    UserError,
)
from genlab.data import Digits
from genlab.experiments.loading import build_model
from genlab.families import VQVAE
from genlab.metrics import PCAKMeans
from genlab.networks import (
    ConvEncoder,
    FiniteScalar,
    HierarchicalQuantiser,
    LookupFree,
    MapDecoder,
    MapEncoder,
    ResidualQuantiser,
    VectorQuantiser,
)
from genlab.probability import Categorical, Gaussian
from tests.configs.small import ROOT, tree

SPEC = Digits().spec
NARROW = {"channels": [8, 16], "num_blocks": 1}
QUANTISERS = {  # and bits per digit, on a 4x4 grid
    "vector": (lambda: VectorQuantiser(4, 8), 48),
    "residual": (lambda: ResidualQuantiser([VectorQuantiser(4, 4) for _ in range(2)]), 64),
    "finite scalar": (lambda: FiniteScalar([4, 2]), 48),
    "lookup-free": (lambda: LookupFree(3), 48),
    "hierarchical": (lambda: HierarchicalQuantiser([VectorQuantiser(4, 4) for _ in range(2)], 8), 40),
}


def make(quantiser="vector", **parts):
    torch.manual_seed(0)
    parts = {"likelihood": partial(Gaussian, scale="shared"), **parts}
    encoder, decoder = partial(MapEncoder, **NARROW), partial(MapDecoder, **NARROW)
    return VQVAE(SPEC, encoder, QUANTISERS[quantiser][0](), decoder, **parts)


def fit(model, steps, *callbacks, **settings):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    settings = {"val_check_interval": steps, "check_val_every_n_epoch": None, **settings}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, enable_model_summary=False, num_sanity_val_steps=0,
        callbacks=[Reproducible(), *callbacks], **quiet, **settings,
    )  # fmt: skip
    data = Digits(batch_size=32, limit=320)
    trainer.fit(model, data)
    return trainer, data


@pytest.mark.parametrize("name", QUANTISERS)
def test_tokens_say_all_that_the_decoder_sees(name):
    model, x = make(name), next(Digits(limit=40).batches("train"))["image"]
    model.train()
    model.through(x)  # k-means
    model.eval()
    for capability in (CanTokenize, CanReconstruct, CanEncode, CanDecode, HasLogProb):
        assert isinstance(model, capability)
    tokens, spec = model.tokenize(x), model.codebooks
    assert tokens.dtype == torch.int64
    assert tokens.shape == (len(x), *spec.shape)
    assert int(tokens.max()) < spec.num_codes == model.quantiser.num_codes
    assert model.bits == math.prod(spec.shape) * math.log2(spec.num_codes) == QUANTISERS[name][1]
    codes, params = model.through(x)
    torch.testing.assert_close(model.detokenize(tokens), model.likelihood.mean(params))
    torch.testing.assert_close(model.reconstruct(x), model.likelihood.mean(params))
    assert model.encode(x).shape[1:] == model.latent_spec.shape
    torch.testing.assert_close(model.decode(model.encode(x)), model.reconstruct(x))
    assert torch.equal(codes.indices, tokens)
    assert torch.equal(model.tokenize(x)[3:7], model.tokenize(x[3:7]))


def test_its_bound_counts_the_tokens():
    """Against the sum by hand."""
    model, x = make(likelihood=Categorical).eval(), next(Digits(limit=40).batches("train"))["image"]
    found = model.log_prob(x, rng=RandomStreams(0, len(x)))
    by_hand = model.likelihood.log_prob(x, model.through(x)[1]) - 48 * math.log(2)
    torch.testing.assert_close(found.nats, by_hand)
    assert (found.kind, found.measure) == ("bound", "discrete")
    torch.testing.assert_close(model.losses("val", {"image": x})["bpd"], -by_hand.mean() / (64 * math.log(2)))


def test_gradients_reach_the_encoder_through_the_codes():
    model, x = make(), next(Digits(limit=40).batches("train"))["image"]
    model.losses("train", {"image": x})["reconstruction"].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.encoder.parameters())


def test_codebooks_are_averaged_with_the_weights():
    """The average's codebook is its own: the raw one's is not where the averaged encoder's features are."""

    class Watch(pl.Callback):
        def __init__(self):
            self.raw, self.held = [], None

        def on_train_batch_end(self, trainer, pl_module, *_):
            self.raw.append(pl_module.quantiser.codebook.clone())

        def on_validation_batch_start(self, trainer, pl_module, *_):
            self.held = pl_module.quantiser.codebook.clone()

    ema, watch, model = Ema(decays=[0.8], ramp_up=False), Watch(), make()
    start = model.quantiser.codebook.clone()
    fit(model, 6, watch, ema)
    average = start
    for raw in watch.raw:
        average = 0.8 * average + 0.2 * raw
    torch.testing.assert_close(watch.held, average)
    torch.testing.assert_close(ema.averages["0.8"]["quantiser.codebook"], average)
    assert torch.equal(model.quantiser.codebook, watch.raw[-1]), "training goes on with its own"
    assert "quantiser.use" not in ema.averages["0.8"]


@pytest.mark.parametrize("name", ["vector", "hierarchical"])
def test_learns_and_logs_what_it_uses(name):
    model = make(name, optimizer=partial(torch.optim.AdamW, lr=3e-3))
    trainer, data = fit(model, 120)
    logged = trainer.logged_metrics
    names = {"train/perplexity", "val/perplexity", "val/usage", "val/bits", "val/mse", "val/bpd"}
    assert names <= set(logged)
    assert logged["val/bits"] == QUANTISERS[name][1]
    assert logged["val/usage"] >= 0.8
    assert 1 < logged["val/perplexity"] <= model.quantiser.num_codes
    val, train = (torch.cat([b["image"] for b in data.batches(s)]) for s in ("val", "train"))
    few = PCAKMeans(train, 8, size=2)
    assert logged["val/mse"] < (few.reconstruct(val) - val).square().mean(), "8 bits of PCA and k-means"


def test_refuses_an_encoder_without_a_map():
    with pytest.raises(UserError, match="encoder: got 'ConvEncoder', expected a network to maps"):
        VQVAE(SPEC, partial(ConvEncoder, channels=[4, 8]))


@pytest.mark.slow
def test_reconstructs_better_than_pca_and_kmeans_in_as_many_bits():
    config = tree(ROOT / "configs" / "vqvae" / "vqvae_digits.yaml")
    arguments = config["model"]["init_args"]
    arguments["schedule"]["init_args"]["total"] = 1500
    torch.manual_seed(0)
    model, ema, data = build_model(config["model"], SPEC), Ema(decays=[0.997]), Digits(batch_size=64)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=1500, enable_model_summary=False, callbacks=[Reproducible(), ema],
        gradient_clip_val=1.0, limit_val_batches=0, **quiet,
    )  # fmt: skip
    trainer.fit(model, data)
    train, test = (torch.cat([b["image"] for b in data.batches(split)]) for split in ("train", "test"))
    assert model.bits <= 48
    baseline = min(
        (PCAKMeans(train, 48, size).reconstruct(test) - test).square().mean() for size in (1, 2, 3, 4, 8)
    )
    with ema.averaged(model), model.evaluating():
        error, tokens = (model.reconstruct(test) - test).square().mean(), model.tokenize(test)
    assert error < baseline
    assert len(tokens.unique()) >= 0.8 * model.quantiser.num_codes
