"""Latent diffusion through the commands: a frozen first stage, kept encodings, one checkpoint of the whole."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

import genlab
from genlab.callbacks.compile import networks
from genlab.cli.main import run
from genlab.core import CanShowPath, DataSpec, Frozen, RandomStreams
from genlab.data import CIFAR10, Digits, Encoded, Synthetic
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.loading import load_checkpoint
from genlab.experiments.run_dir import RunDir
from genlab.families import VAE, Cosine, Diffusion, LatentDiffusion
from genlab.networks import MLP, ConvDecoder, ConvEncoder
from genlab.objectives import Denoising
from genlab.probability import EightGaussians, LogitNormalTime
from genlab.probability.transport import sliced_wasserstein
from genlab.solvers import Heun
from tests import tiny

SPATIAL = {"channels": [4, 8], "spatial": True}
QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}


def vae_config(**trainer: Any) -> dict[str, Any]:
    tree = {**tiny.config("vae", **trainer), **QUIET}
    tree["model"]["init_args"] |= {
        "encoder": {"class_path": "genlab.networks.ConvEncoder", "init_args": SPATIAL},
        "decoder": {"class_path": "genlab.networks.ConvDecoder", "init_args": SPATIAL},
        "latent_dim": 32,
    }
    return tree


def latent_config(checkpoint: Path, **trainer: Any) -> dict[str, Any]:
    tree = tiny.config("diffusion", **trainer)
    frozen = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(checkpoint)}}
    arguments = {"first_stage": frozen, "prior": tree["model"]}
    tree["model"] = {"class_path": "genlab.families.LatentDiffusion", "init_args": arguments}
    tree["data"] = {
        "class_path": "genlab.data.Encoded",
        "init_args": {"data": tree["data"], "shard_size": 100},
    }
    return tree


def fit(home: Path, name: str, tree: dict[str, Any], *words: str) -> RunDir:
    config = tiny.write(home / f"{name}.yaml", tree)
    status = run(["fit", "--config", str(config), "--run.root", str(home), "--run.id", "a", *words])
    assert status == 0
    return RunDir(home / name / "a")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("latent")


@pytest.fixture(scope="module")
def first(home: Path) -> RunDir:
    return fit(home, "first", vae_config(max_steps=6))


@pytest.fixture(scope="module")
def second(home: Path, first: RunDir) -> RunDir:
    """Named by its experiment's folder; scores and pictures are made on the way."""
    return fit(home, "second", latent_config(first.root.parent, max_steps=14))


def test_a_checkpoint_holds_the_first_stage_once(first: RunDir, second: RunDir):
    checkpoint, stage = read_checkpoint(second.last), load_checkpoint(first.root)
    held = {k.removeprefix("first_stage.model."): v for k, v in checkpoint["state_dict"].items()}
    averages = stage.model.state_dict()
    assert stage.weights.startswith("ema")
    assert all(torch.equal(held[name], value) for name, value in averages.items())
    for average in checkpoint["ema"].values():
        assert all(name.startswith("prior.network.") for name in average)
    arguments = checkpoint["genlab"]["config"]["model"]["init_args"]["first_stage"]["init_args"]
    assert arguments["checkpoint"] == str(first.root)
    assert arguments["model"]["init_args"]["spec"] == stage.spec.to_dict()
    assert arguments["digest"] == genlab.load(second.root).first_stage.digest


def test_latents_have_mean_zero_and_deviation_one(second: RunDir):
    model, data = genlab.load(second.root), Encoded(Digits(limit=168))
    data.take_encoder(model, model.first_stage.digest)
    z = (data.source("train").tensors["latent"] - model.mean) / model.std
    assert z.shape == (168, 2, 4, 4)
    assert (int(model.num_measured), model.mean.shape) == (168 * 16, (2, 1, 1))
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(2), atol=1e-3, rtol=0)


def test_images_are_edited_in_their_latents(second: RunDir, lightning: Any, tmp_path: Path):
    """From a checkpoint alone: what is kept stays, and inversion leads back to what the first stage leaves."""
    x = next(Digits().batches("test", num=3))
    np.savez(tmp_path / "in.npz", image=x["image"].numpy(), label=x["label"].numpy())

    def edited(*words: Any) -> torch.Tensor:
        out = tmp_path / "out.npz"
        done = lightning("sample", "--ckpt", second.root, "--out", out, *words)
        assert done.status == 0, done.err
        about = json.loads(str(np.load(out)["about"]))
        assert about["space"] == "scaled latents"
        return torch.from_numpy(np.load(out)["image"])

    source = tmp_path / "in.npz"
    filled = edited("--inpaint", source, "--mask", "lower", "--steps", 4, "--resamples", 2)
    assert torch.equal(filled[:, :, :4], x["image"][:, :, :4])
    model = genlab.load(second.root)
    left = model.reconstruct(x["image"])
    torch.testing.assert_close(edited("--from", source, "--strength", 0), left, atol=1e-4, rtol=0)
    torch.testing.assert_close(edited("--invert", source), left, atol=2e-2, rtol=0)
    ways = edited("--interpolate", source, source, "--num", 3)
    torch.testing.assert_close(ways[::3], left, atol=2e-2, rtol=0)


def test_the_path_is_decoded(second: RunDir):
    model, rng = genlab.load(second.root), RandomStreams(0, 3)
    frames = model.sample_path(3, rng=rng, num_frames=4)
    assert frames.shape == (4, 3, 1, 8, 8)
    assert isinstance(model, CanShowPath)
    assert model.has_sample_path
    torch.testing.assert_close(frames[-1], model.sample(3, rng=rng))
    noise = model.prior.sample_path(3, rng=rng, num_frames=4)[0]
    torch.testing.assert_close(frames[0], model.decode(model.mean + model.std * noise))
    assert list(second.samples.glob("path*.gif")), "drawn in training too"


def test_needs_nothing_else(second: RunDir, lightning: Any, tmp_path: Path):
    """Without the first stage's run: sample, evaluate, export, load, and go on."""
    alone = tmp_path / "second" / "a"
    shutil.copytree(second.root, alone)
    text = (alone / "config.yaml").read_text()
    (alone / "config.yaml").write_text(text.replace(str(second.root.parents[1] / "first"), "/gone"))
    archive = tmp_path / "samples.npz"
    done = lightning("sample", "--ckpt", alone, "--num", 5, "--out", archive)
    assert done.status == 0, done.err
    samples = np.load(archive)["image"]
    assert samples.shape == (5, 1, 8, 8)
    scores = ["--metrics", "fid", "--num", 20, "--draws", 1, "--no_baselines"]
    done = lightning("evaluate", "--ckpt", alone, *scores)
    assert done.status == 0, done.err
    done = lightning("validate", "--ckpt_path", alone)
    assert done.status == 0, done.err
    done = lightning("export", "--ckpt", alone, "--out", tmp_path / "exported")
    assert done.status == 0, done.err
    exported = genlab.load(tmp_path / "exported").sample(5, condition=None, rng=RandomStreams(0, 5))
    again = genlab.load(alone).sample(5, condition=None, rng=RandomStreams(0, 5))
    assert torch.equal(exported, again)
    done = lightning("fit", "--resume", alone, "--trainer.max_steps", 16, "--data.init_args.shard_size", 100)
    assert done.status == 0, done.err
    assert read_checkpoint(RunDir(alone).last)["global_step"] == 16


def test_resume_is_exact(home: Path, first: RunDir):
    whole = fit(home, "whole", latent_config(first.root, max_steps=8) | QUIET)
    part = fit(home, "part", latent_config(first.root, max_steps=4) | QUIET)
    assert run(["fit", "--resume", str(part.root), "--trainer.max_steps", "8"]) == 0
    ours, theirs = read_checkpoint(part.last), read_checkpoint(whole.last)
    for key in ("state_dict", *(f"ema {decay}" for decay in ours["ema"])):
        one, other = ((c["ema"][key[4:]] if key.startswith("ema") else c[key]) for c in (ours, theirs))
        assert all(torch.equal(one[name], other[name]) for name in other), key


class Counting:
    """An encoder that counts what it encodes."""

    def __init__(self, model: LatentDiffusion):
        self.model, self.latent_spec, self.count = model, model.latent_spec, 0

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        self.count += len(x)
        return self.model.encode(x)


def test_encodings_are_kept_and_go_on(second: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path))
    model = genlab.load(second.root)

    def encoded(digest: str = "a") -> int:
        data, encoder = Encoded(Digits(limit=100), shard_size=30), Counting(model)
        data.take_encoder(encoder, digest)
        batch = next(data.source("train").stream([torch.arange(100)]))
        assert set(batch) == {"latent", "label"}
        x = next(data.batches("train", num=100))
        assert torch.equal(x["label"], batch["label"])
        torch.testing.assert_close(model.encode(x["image"]), batch["latent"])
        return encoder.count

    assert encoded() == 100
    assert encoded() == 0, "from disk"
    sorted(tmp_path.glob("*.safetensors"))[0].unlink()
    assert encoded() in (10, 30), "only the shard that is missing"
    assert encoded("b") == 100, "other weights"


def test_refuses_a_first_stage_that_does_not_fit(first: RunDir, home: Path, lightning: Any, tmp_path: Path):
    def refused(tree: dict[str, Any]) -> str:
        config = tiny.write(tmp_path / "refused.yaml", tree)
        done = lightning("fit", "--config", config, "--run.root", tmp_path)
        assert done.status == 2, done.err
        return done.error

    def broken(bias: float) -> Path:
        checkpoint = read_checkpoint(first.last)
        for name in ("encoder.head.2.weight", "encoder.head.2.bias"):
            checkpoint["ema"]["0.9"][name].fill_(bias)
        torch.save(checkpoint, tmp_path / "broken.ckpt")
        return tmp_path / "broken.ckpt"

    other = latent_config(first.root)
    resized = {"data": other["data"]["init_args"]["data"], "size": 16, "low_resolution": 8}
    other["data"]["init_args"]["data"] = {"class_path": "genlab.data.TwoResolutions", "init_args": resized}
    message = "first_stage: got 'a model of digits (1, 8, 8) with 17 levels', expected one of digits 16x16"
    assert message in refused(other)

    assert "encoder.head.2.weight that is not finite" in refused(latent_config(broken(torch.inf)))
    assert "first_stage: got 'latents that are not finite'" in refused(latent_config(broken(3e38)))
    assert "does not exist" in refused(latent_config(tmp_path / "none"))
    plain = latent_config(first.root)
    plain["model"] = plain["model"]["init_args"]["prior"]
    assert "expected one with a first stage" in refused(plain)


def test_latents_that_are_not_finite_are_refused():
    spec = Digits().spec
    vae = VAE(spec, ConvEncoder, ConvDecoder, latent_dim=4)
    model = LatentDiffusion(spec, Frozen(model=vae), tiny_prior)
    vae.encode = lambda x: torch.full((len(x), 4), torch.nan)
    with pytest.raises(ValueError, match="first_stage: got 'latents that are not finite'"):
        LatentDiffusion(spec, Frozen(model=vae), tiny_prior)
    data = Digits(limit=20)
    with pytest.raises(ValueError, match="first_stage: got 'latents that are not finite'"):
        model._measure(data)
    encoded = Encoded(data)
    encoded.take_encoder(model, "nan")
    with pytest.raises(ValueError, match="first_stage: got latents of the train data that are not finite"):
        encoded.source("train")


def tiny_prior(spec: DataSpec) -> Diffusion:
    return Diffusion(spec, lambda spec: MLP(spec, width=8))


def test_the_priors_network_is_what_is_compiled(second: RunDir):
    model = genlab.load(second.root)
    assert [n for n in networks(model) if list(n.parameters())] == [model.first_stage, model.prior.network]


def test_encoded_data_refuse_what_they_cannot_keep():
    with pytest.raises(ValueError, match="flip"):
        Encoded(CIFAR10(flip=True))
    with pytest.raises(ValueError, match="shard_size"):
        Encoded(Digits(), shard_size=0)


class Shifted(torch.nn.Module):
    """A first stage whose latents are far from a standard normal: turned, enlarged and moved."""

    def __init__(self, spec: DataSpec):
        super().__init__()
        self.spec, self.latent_spec = spec, DataSpec("latents", {"latent": spec[spec.data]})
        self.register_buffer("turn", 10 * torch.tensor([[0.6, -0.8], [0.8, 0.6]]))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.turn + 5

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return (z - 5) @ self.turn.inverse()


def test_learns_the_data_of_its_latents():
    pl.seed_everything(0, verbose=False)
    data = Synthetic(EightGaussians(), num_train=20_000, num_test=2000, batch_size=256, device="cpu")
    prior = partial(
        Diffusion,
        network=partial(MLP, width=64),
        objective=Denoising(times=LogitNormalTime(stratified=True)),
        solver=Heun(12),
        optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.0),
        schedule=Cosine(total=400, warmup=20),
    )
    model = LatentDiffusion(data.spec, Frozen(model=Shifted(data.spec)), prior)
    real, other = (next(data.batches(split, batch_size=2000))["vector"] for split in ("test", "val"))

    def distance() -> float:
        return float(sliced_wasserstein(model.sample(2000, rng=RandomStreams(0, 2000)), real))

    untrained, floor = distance(), float(sliced_wasserstein(other, real))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    pl.Trainer(
        max_steps=400, accelerator="cpu", enable_checkpointing=False, limit_val_batches=0, **quiet
    ).fit(model, data)
    assert distance() < 4 * floor < 0.3 * untrained
