"""A trained model within another one: read once, kept in the checkpoint, never trained."""

import shutil
from typing import Any

import pytest
import torch
from torch import nn

from genlab.core import Condition, Frozen, RandomStreams, UserError
from genlab.data.base import GenerativeDataModule
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.frozen import fill
from genlab.experiments.loading import load
from genlab.experiments.run_dir import RunDir
from tests import tiny
from tests.run_folders import make_checkpoint, make_run

LEVELS = {"class_path": "genlab.objectives.Discretisation", "init_args": {"total": "${trainer.max_steps}"}}


def config(**objective: Any) -> dict[str, Any]:
    tree = tiny.config("diffusion", max_steps=3)
    tree["samples"] = tree["metrics"] = {"every_n_steps": 100}
    if objective:
        tree["model"]["init_args"] |= {
            "objective": objective,
            "solver": {"class_path": "genlab.solvers.MultistepConsistency"},
        }
    return tree


def distillation(checkpoint: object) -> dict[str, Any]:
    teacher = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(checkpoint)}}
    return config(
        class_path="genlab.objectives.ConsistencyDistillation",
        init_args={"levels": LEVELS, "teacher": teacher},
    )


def test_the_checkpoint_of_the_whole_needs_no_other(lightning: Any, tmp_path: Any):
    first = tiny.write(tmp_path / "first.yaml", config())
    assert lightning("fit", "--config", first, "--run.root", tmp_path, "--run.id", "a").status == 0
    teacher = load(tmp_path / "first" / "a").state_dict()

    second = tiny.write(tmp_path / "second.yaml", distillation(tmp_path / "first" / "a"))
    done = lightning("fit", "--config", second, "--run.root", tmp_path, "--run.id", "a")
    assert done.status == 0, done.err
    shutil.rmtree(tmp_path / "first")

    run_dir = RunDir(tmp_path / "second" / "a")
    frozen = load(run_dir.root).objective.teacher
    assert frozen.whole
    assert all(torch.equal(x, teacher[name]) for name, x in frozen.model.state_dict().items())
    average = read_checkpoint(run_dir.last)["ema"]["0.9"]
    assert all(name.startswith("network.") for name in average)
    assert lightning("sample", "--ckpt", run_dir.root, "--num", 2).status == 0

    done = lightning("fit", "--resume", run_dir.root, "--trainer.max_steps", 4)
    assert done.status == 0, done.err
    resumed = load(run_dir.root)
    assert resumed.objective.teacher.whole
    assert resumed.objective.levels.batches == 4


def guided(*guidance: dict[str, Any]) -> dict[str, Any]:
    tree = config()
    tree["model"]["init_args"]["guidance"] = list(guidance)
    return tree


def by(name: str, checkpoint: object, **arguments: Any) -> dict[str, Any]:
    """The guidance of a class, whose model is a run's."""
    frozen = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(checkpoint)}}
    argument = "weaker" if name == "Autoguidance" else "classifier"
    return {"class_path": f"genlab.solvers.{name}", "init_args": {argument: frozen, **arguments}}


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("guides")
    names = ("diffusion", "plane", "classifier", "off path", "vae")
    return {name: make_checkpoint(make_run(root / name / "1"), name) for name in names}


def test_guides_are_held_by_the_checkpoint(guides: dict[str, Any], lightning: Any, tmp_path: Any):
    for name in ("diffusion", "classifier"):
        shutil.copytree(guides[name], tmp_path / name)
    limited = {"guidance": by("ClassifierGuidance", tmp_path / "classifier", scale=3.0), "high": 1.0}
    interval = {"class_path": "genlab.solvers.IntervalGuidance", "init_args": limited}
    tree = guided(by("Autoguidance", tmp_path / "diffusion", scale=1.5), interval)
    path = tiny.write(tmp_path / "guided.yaml", tree)
    done = lightning("fit", "--config", path, "--run.root", tmp_path, "--run.id", "a")
    assert done.status == 0, done.err
    theirs = [load(guides[name]).state_dict() for name in ("diffusion", "classifier")]
    for name in ("diffusion", "classifier"):
        shutil.rmtree(tmp_path / name)

    run_dir = RunDir(tmp_path / "guided" / "a")
    model = load(run_dir.root)
    for guide, state in zip(model.guides, theirs, strict=True):
        assert guide.whole
        assert all(torch.equal(x, state[name]) for name, x in guide.model.state_dict().items())
    assert model.guidance[0].weaker.network is model.guides[0].model.network
    assert model.guidance[1].guidance.classifier is model.guides[1].model
    how = model.sampling_protocol()["guidance"]
    assert (how[0]["weaker"], how[1]["classifier"]) == tuple(guide.digest for guide in model.guides)
    assert all(name.startswith("network.") for name in read_checkpoint(run_dir.last)["ema"]["0.9"])

    out = tmp_path / "samples.npz"
    assert lightning("sample", "--ckpt", run_dir.root, "--num", 4, "--out", out).status == 0
    condition, rng = Condition(label=torch.arange(4)), RandomStreams(0, 4)
    sampled = model.sample(4, condition=condition, rng=rng)
    model.guidance.clear()
    assert (sampled - model.sample(4, condition=condition, rng=rng)).abs().max() > 1e-4
    done = lightning("fit", "--resume", run_dir.root, "--trainer.max_steps", 4)
    assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("guidance", "model", "says"),
    [
        ("ClassifierGuidance", "off path", "classifier: got {'path': 'CosinePath'"),
        (
            "ClassifierGuidance",
            "diffusion",
            "classifier: got 'Diffusion', expected a classifier of noisy data",
        ),
        ("Autoguidance", "plane", "weaker: got 'a model of eight_gaussians (2,)"),
        ("Autoguidance", "vae", "weaker: got 'VAE', expected a model with a denoiser"),
    ],
)
def test_guides_that_do_not_fit_are_refused_before_data_are_read(
    guidance: str,
    model: str,
    says: str,
    guides: dict[str, Any],
    lightning: Any,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(GenerativeDataModule, "source", lambda *_: pytest.fail("data were read"))
    wrong = tiny.write(tmp_path / "wrong.yaml", guided(by(guidance, guides[model])))
    done = lightning("fit", "--config", wrong, "--run.root", tmp_path)
    assert done.status == 2
    assert says in done.error


def test_refusals(lightning: Any, tmp_path: Any):
    wrong = tiny.write(tmp_path / "wrong.yaml", distillation(tmp_path / "nothing"))
    done = lightning("fit", "--config", wrong, "--run.root", tmp_path)
    assert done.status == 2
    assert "nothing', expected a run, a checkpoint or an export" in done.error
    with pytest.raises(UserError, match="checkpoint: got '', expected a trained model"):
        Frozen()
    frozen = Frozen(model=nn.Linear(2, 2))
    frozen.require_whole()
    frozen.model.weight.data += 1
    with pytest.raises(UserError, match="expected a run or checkpoint with the weights"):
        frozen.require_whole()


def test_configs_without_one_are_left_alone():
    tree = config()
    before = repr(tree)
    assert fill(tree) == {}
    assert repr(tree) == before
