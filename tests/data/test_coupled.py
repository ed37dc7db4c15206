"""Pairs of noise and data by a trained flow: what they are, kept on disk, trained on; refusals."""

from typing import Any

import pytest
import torch

from genlab.core import Condition, DataSpec, Frozen, RandomStreams, UserError
from genlab.data import Coupled, Digits, Synthetic
from genlab.families import Diffusion
from genlab.networks import UNet
from genlab.objectives import LearnedVariance
from genlab.probability import EightGaussians, LinearPath
from genlab.solvers import DDIM, Ancestral, Heun
from tests import tiny


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path / "cache"))


def network(spec, **settings):
    return UNet(spec, channels=8, multipliers=[1, 2], num_blocks=1, attention=[4], **settings)


def teacher(**settings: Any) -> Frozen:
    torch.manual_seed(0)
    model = Diffusion(Digits().spec, network, **{"solver": Heun(2), **settings})
    torch.nn.init.normal_(model.network.conv_out.weight, std=0.1)
    return Frozen(model=model)


def coupled(frozen: Frozen, **settings: Any) -> Coupled:
    numbers = {"num_pairs": 24, "shard_size": 10, **settings}
    return Coupled(Digits(batch_size=8, limit=40, device="cpu"), frozen, **numbers)


def test_pairs_are_noise_and_what_the_teacher_makes_of_it():
    frozen = teacher()
    data = coupled(frozen)
    source = data.source("train")
    assert len(source) == 24
    batch = next(iter(source.stream([torch.arange(24)])))
    assert batch["label"].tolist() == [i % 10 for i in range(24)]

    class Given(RandomStreams):
        def to(self, device):
            return self

        def normal(self, shape=()):
            return batch["noise"]

    again = frozen.model.sample(24, condition=Condition(label=batch["label"]), rng=Given(0, 24))
    assert torch.allclose(again, batch["image"], atol=1e-5)
    assert abs(batch["noise"].std() - 1) < 0.05
    val = next(iter(data.source("val").stream([torch.arange(24)])))
    assert not torch.equal(val["noise"], batch["noise"])


def test_pairs_are_made_once(monkeypatch):
    frozen = teacher()
    first = next(iter(coupled(frozen).source("train").stream([torch.arange(24)])))
    monkeypatch.setattr(Coupled, "make", lambda *rest: pytest.fail("made again"))
    again = next(iter(coupled(frozen).source("train").stream([torch.arange(24)])))
    assert all(torch.equal(first[name], again[name]) for name in first)
    frozen.model.network.conv_out.bias.data += 1
    monkeypatch.undo()
    with pytest.raises(UserError, match="checkpoint: got"):
        coupled(frozen, seed=1).source("train")


def test_scores_see_the_data_themselves():
    data, plain = coupled(teacher()), Digits(batch_size=8, limit=40, device="cpu")
    assert data.fingerprint("test") == plain.fingerprint("test")
    assert data.num_samples("train") == 40
    batch, wanted = (next(d.batches("train", batch_size=4)) for d in (data, plain))
    assert set(batch) == {"image", "label"}
    assert torch.equal(batch["image"], wanted["image"])
    assert data.spec.name == "digits"
    assert data.spec.shape == (1, 8, 8)


def test_a_model_learns_the_noise_of_the_pairs():
    """Without error only where eps is the batch's own."""
    data = coupled(teacher())
    model = Diffusion(data.spec, network)
    batch = next(iter(data.source("train").stream([torch.arange(24)])))
    model.network.forward = lambda x, t, c: batch["noise"] - batch["image"]
    assert model.loss(batch)["loss"] < 1e-10
    assert model.loss({k: v for k, v in batch.items() if k != "noise"})["loss"] > 0.1


def test_refusals():
    with pytest.raises(UserError, match="teacher: got 'Ancestral', expected a teacher whose solver draws no"):
        coupled(teacher(solver=Ancestral(3)))
    with pytest.raises(UserError, match="teacher: got 'DDIM'"):
        coupled(teacher(solver=DDIM(2, eta=1.0), path=LinearPath(1e-3, 0.999)))
    with pytest.raises(UserError, match="teacher: got 'Linear', expected a diffusion model"):
        coupled(Frozen(model=torch.nn.Linear(2, 2)))
    with pytest.raises(UserError, match=r"teacher: got 'a model of digits .*, expected one of "):
        Coupled(Synthetic(EightGaussians()), teacher())
    others = DataSpec("letters", Digits().spec.modalities)
    with pytest.raises(UserError, match=r"teacher: got 'a model of letters .*, expected one of digits"):
        coupled(Frozen(model=Diffusion(others, network, solver=Heun(2))))
    with pytest.raises(UserError, match="num_pairs: got 0"):
        coupled(teacher(), num_pairs=0)
    with pytest.raises(
        UserError, match="objective: got 'LearnedVariance', expected one that takes the noise"
    ):
        Diffusion(coupled(teacher()).spec, network, objective=LearnedVariance())


def test_the_command_trains_on_pairs(lightning: Any, tmp_path: Any):
    tree = tiny.config("diffusion", max_steps=2)
    tree["samples"] = tree["metrics"] = {"every_n_steps": 100}
    first = tiny.write(tmp_path / "first.yaml", tree)
    assert lightning("fit", "--config", first, "--run.root", tmp_path, "--run.id", "a").status == 0
    teacher = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(tmp_path / "first" / "a")}}
    pairs = {"data": tree["data"], "teacher": teacher, "num_pairs": 40}
    tree["data"] = {"class_path": "genlab.data.Coupled", "init_args": pairs}
    second = tiny.write(tmp_path / "second.yaml", tree)
    done = lightning("fit", "--config", second, "--run.root", tmp_path, "--run.id", "a")
    assert done.status == 0, done.err
    words = ["--metrics", "fid", "--num", 20, "--draws", 1, "--no_baselines"]
    done = lightning("evaluate", "--ckpt", tmp_path / "second" / "a", *words)
    assert done.status == 0, done.err
