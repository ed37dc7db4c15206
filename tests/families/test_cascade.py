"""Cascades through the commands: a frozen base, super-resolution of noised images, one sample for the chain."""

from functools import partial
from itertools import chain as chained
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genlab
from genlab.cli.main import run
from genlab.core import Condition, DataSpec, Frozen, RandomStreams, UserError
from genlab.data import Digits, TwoResolutions
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.run_dir import RunDir
from genlab.families import Cascade, Diffusion
from genlab.networks import UNet
from genlab.solvers import Heun
from tests import tiny

QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}


def cascade_config(base: Path, size: int = 16, **trainer: Any) -> dict[str, Any]:
    tree = tiny.config("diffusion", **trainer)
    tree["model"]["init_args"]["network"]["init_args"]["attention"] = []
    tree["model"]["init_args"]["label_dropout"] = {"label": 0.1}
    frozen = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(base)}}
    arguments = {"base": frozen, "super_resolution": tree["model"]}
    tree["model"] = {"class_path": "genlab.families.Cascade", "init_args": arguments}
    two = {"data": tree["data"], "size": size, "low_resolution": 8}
    tree["data"] = {"class_path": "genlab.data.TwoResolutions", "init_args": two}
    return tree


def fit(home: Path, name: str, tree: dict[str, Any]) -> RunDir:
    config = tiny.write(home / f"{name}.yaml", tree)
    assert run(["fit", "--config", str(config), "--run.root", str(home), "--run.id", "a"]) == 0
    return RunDir(home / name / "a")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cascade")


@pytest.fixture(scope="module")
def base(home: Path) -> RunDir:
    return fit(home, "base", tiny.config("diffusion", max_steps=4) | QUIET)


@pytest.fixture(scope="module")
def chain(home: Path, base: RunDir) -> RunDir:
    return fit(home, "chain", cascade_config(base.root, max_steps=14))


def test_one_command_edits_through_the_chain(chain: RunDir, lightning: Any, tmp_path: Path):
    out, near = tmp_path / "edited.npz", [tmp_path / f"{strength}.npz" for strength in (0.2, 1.0)]
    done = lightning("sample", "--ckpt", chain.root, "--num", 4, "--out", tmp_path / "images.npz")
    assert done.status == 0, done.err
    x = np.load(tmp_path / "images.npz")["image"]
    words = ["--ckpt", chain.root, "--inpaint", tmp_path / "images.npz", "--steps", 3, "--resamples", 1]
    done = lightning("sample", *words, "--mask", "lower", "--out", out)
    assert done.status == 0, done.err
    filled = np.load(out)["image"]
    assert np.array_equal(filled[:, :, :8], x[:, :, :8])
    assert not np.array_equal(filled[:, :, 8:], x[:, :, 8:])
    far = []
    for place, strength in zip(near, (0.2, 1.0), strict=True):
        words = ["--ckpt", chain.root, "--from", tmp_path / "images.npz", "--strength", strength]
        assert lightning("sample", *words, "--out", place).status == 0
        far.append(float(np.square(np.load(place)["image"] - x).mean()))
    assert far[0] < far[1]


def test_the_path_ends_with_the_sample(chain: RunDir):
    model, rng = genlab.load(chain.root), RandomStreams(0, 3)
    condition = Condition(label=torch.tensor([1, 2, 3]))
    frames = model.sample_path(3, condition=condition, rng=rng, num_frames=3)
    assert frames.shape == (3, 3, 1, 16, 16)
    torch.testing.assert_close(frames[-1], model.sample(3, condition=condition, rng=rng))
    assert (frames[0] - frames[-1]).abs().mean() > 0.1


def test_one_command_samples_the_chain(chain: RunDir, lightning: Any, tmp_path: Path):
    done = lightning("sample", "--ckpt", chain.root, "--num", 12, "--out", tmp_path / "samples.npz")
    assert done.status == 0, done.err
    archive = np.load(tmp_path / "samples.npz")
    assert archive["image"].shape == (12, 1, 16, 16)
    assert archive["label"].tolist() == [*range(10), 0, 1]
    scores = ["--metrics", "fid,judge", "--num", 20, "--draws", 1]
    done = lightning("evaluate", "--ckpt", chain.root, *scores)
    assert done.status == 0, done.err
    done = lightning("export", "--ckpt", chain.root, "--out", tmp_path / "exported")
    assert done.status == 0, done.err
    rng = RandomStreams(0, 3)
    one, other = (genlab.load(place).sample(3, rng=rng) for place in (chain.root, tmp_path / "exported"))
    assert torch.equal(one, other)
    done = lightning("fit", "--resume", chain.root, "--trainer.max_steps", 16)
    assert done.status == 0, done.err


def test_a_checkpoint_holds_the_base_once(base: RunDir, chain: RunDir):
    checkpoint, theirs = read_checkpoint(chain.last), genlab.load(base.root).state_dict()
    held = checkpoint["state_dict"]
    assert all(torch.equal(held[f"base.model.{name}"], value) for name, value in theirs.items())
    for average in checkpoint["ema"].values():
        assert all(name.startswith("super_resolution.network.") for name in average)


def test_low_resolution_images_take_the_place_of_the_base(chain: RunDir):
    model, rng = genlab.load(chain.root), RandomStreams(0, 4)
    label, low = torch.tensor([1, 2, 3, 4]), torch.zeros(4, 1, 8, 8)
    whole = model.sample(4, condition=Condition(label=label), rng=rng)
    given = model.sample(4, condition=Condition(label=label, image=low), rng=rng)
    assert not torch.equal(whole, given)
    by_hand = model.base.model.sample(4, condition=Condition(label=label), rng=rng)
    same = model.sample(4, condition=Condition(label=label, image=by_hand), rng=rng)
    torch.testing.assert_close(whole, same)
    part = model.sample(2, condition=Condition(label=label[2:]), rng=RandomStreams(0, [2, 3]))
    torch.testing.assert_close(part, whole[2:])
    with pytest.raises(ValueError, match="image of shape"):
        model.sample(4, condition=Condition(image=torch.zeros(4, 3, 8, 8)), rng=rng)


def test_a_base_of_other_data_is_refused(base: RunDir, lightning: Any, tmp_path: Path):
    def refused(**init_args: Any) -> str:
        tree = cascade_config(base.root)
        for key, value in init_args.items():
            part = tree["data"] if key == "low_resolution" else tree["model"]
            part["init_args"][key] = value
        config = tiny.write(tmp_path / "refused.yaml", tree)
        done = lightning("fit", "--config", config, "--run.root", tmp_path)
        assert done.status == 2, done.err
        return done.error

    assert "base: got 'a model of digits (1, 8, 8) with 17 levels" in refused(low_resolution=4)
    assert "level: got 0.7, expected a time in [0, 0.5]" in refused(level=0.7)
    assert "augmentation: got 2" in refused(augmentation=2)


def test_noise_on_low_resolution_images_follows_the_path(chain: RunDir, monkeypatch: pytest.MonkeyPatch):
    model, seen = genlab.load(chain.root), {}
    data = TwoResolutions(Digits(), size=16, low_resolution=8)
    batch = next(data.batches("train", batch_size=512))
    monkeypatch.setattr(
        type(model.super_resolution), "losses", lambda self, phase, batch: seen.update(batch) or {}
    )
    torch.manual_seed(0)
    model.losses("train", batch)
    s = seen["vector"][:, 0]
    assert (s >= 0).all()
    assert 0.45 < s.max() <= 0.5
    noise = (seen["low_resolution"] - (1 - s)[:, None, None, None] * batch["low_resolution"]).std((1, 2, 3))
    torch.testing.assert_close(noise / s, torch.ones(512), atol=0.4, rtol=0)


def test_a_cascade_is_the_base_of_another(chain: RunDir):
    data = TwoResolutions(Digits(), size=32, low_resolution=16)
    with_two = Cascade(data.spec, Frozen(model=genlab.load(chain.root)), tiny_diffusion, level=0.0)
    x = with_two.sample(3, condition=Condition(label=torch.tensor([1, 2, 3])), rng=RandomStreams(0, 3))
    assert x.shape == (3, 1, 32, 32)
    about = with_two.sampling_protocol()
    assert about["nfe"] == 1 + about["base_nfe"]
    assert about["base_nfe"] > about["base_base_nfe"] > 0, "evaluations of all that is below"


def test_what_needs_a_class_is_not_put_upon_a_base_without():
    data = TwoResolutions(Digits(), size=16, low_resolution=8)
    net = partial(UNet, channels=8, multipliers=(1, 1), num_blocks=1, attention=())
    base = Frozen(model=Diffusion(Digits().spec, partial(net, conditional=False)))
    with pytest.raises(UserError, match="super_resolution: got 'one that needs label'"):
        Cascade(data.spec, base, partial(Diffusion, network=net, label_dropout=0.0))
    Cascade(data.spec, base, partial(Diffusion, network=net, label_dropout={"label": 0.1}))


def tiny_diffusion(spec: DataSpec) -> Diffusion:
    net = lambda spec: UNet(spec, channels=8, multipliers=(1, 1), num_blocks=1, attention=())  # noqa: E731
    return Diffusion(spec, net, solver=Heun(num_steps=1))


def test_two_resolutions_are_of_the_same_images():
    data = TwoResolutions(Digits(), size=32, low_resolution=8)
    batch, plain = next(data.batches("val", batch_size=50)), next(Digits().batches("val", batch_size=50))
    assert torch.equal(batch["low_resolution"], plain["image"])
    assert data.spec["low_resolution"] == Digits().spec["image"]
    shrunk = torch.nn.functional.avg_pool2d(batch["image"], 4)
    assert (shrunk - plain["image"]).abs().mean() < 0.2
    levels = batch["image"] * 128 + 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)
    assert data.fingerprint("val") != Digits().fingerprint("val")
    for size, low in ((8, 8), (32, 0)):
        with pytest.raises(ValueError, match=r"size|low_resolution"):
            TwoResolutions(Digits(), size=size, low_resolution=low)


@pytest.mark.slow
def test_learns_to_enlarge():
    """Samples made smaller are the low-resolution images that they were asked for by, and no others."""
    torch.manual_seed(0)
    data = TwoResolutions(Digits(batch_size=64, device="cpu"), size=16, low_resolution=8)
    part = partial(UNet, channels=16, multipliers=(1, 2), num_blocks=1, attention=())
    first = Diffusion(Digits().spec, part)
    prior = partial(Diffusion, network=part, solver=Heun(6), label_dropout={"label": 0.1})
    model = Cascade(data.spec, Frozen(model=first), prior, augmentation=0.2, level=0.0)
    low = next(data.batches("test", batch_size=32, num=32))["low_resolution"]

    def far(given: torch.Tensor) -> float:
        x = model.sample(len(low), condition=Condition(image=given), rng=RandomStreams(0, len(low)))
        return float((torch.nn.functional.avg_pool2d(x, 2) - low).square().mean())

    untrained = far(low)
    optimizer = torch.optim.Adam(model.super_resolution.parameters(), lr=3e-3)
    epochs = chained.from_iterable(data.train_dataloader() for _ in range(4))
    for batch in islice(epochs, 60):
        optimizer.zero_grad()
        model.losses("train", batch)["loss"].backward()
        optimizer.step()
    assert far(low) < 0.35 * min(untrained, far(low.roll(1, 0)))
