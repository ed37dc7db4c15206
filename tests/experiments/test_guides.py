"""Guidance by another trained model's run: which one it was is told, and the run's own scores stay."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genlab.core import digest_of
from genlab.experiments import wandb_results
from genlab.experiments.changes import LONGEST, suffix
from genlab.experiments.loading import load
from genlab.experiments.published_curves import keep_curves
from genlab.experiments.run_dir import RunDir
from tests.run_folders import make_checkpoint, make_run

FEW = ["--metrics", "fid", "--num", 16, "--draws", 1, "--no_baselines"]
OPTIONS = {"classifier": "classifier", "weaker": "diffusion"}  # what guides, and the kind of model that it is


def edit(run: Path, change: Any) -> Path:
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path)
    change(checkpoint)
    torch.save(checkpoint, path)
    return run


@pytest.fixture
def strong(tmp_path: Path) -> Path:
    run = make_checkpoint(make_run(tmp_path / "strong" / "a", scores={"fid": 1.0}), "diffusion")
    return edit(
        run,
        lambda c: c["genlab"]["config"].update(data={"class_path": "genlab.data.Digits", "init_args": {}}),
    )


@pytest.fixture(scope="module")
def guides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Two runs of each kind of guide."""
    root = tmp_path_factory.mktemp("guides")
    made = {
        option: [make_checkpoint(make_run(root / model / name), model) for name in "ab"]
        for option, model in OPTIONS.items()
    }
    for runs in made.values():
        edit(runs[1], lambda c: [x.mul_(1.5) for x in c["ema"]["0.9"].values()])
    return made


@pytest.mark.parametrize("option", OPTIONS)
def test_guided_scores_go_beside_the_runs_own(
    option: str, strong: Path, guides: Any, lightning: Any, monkeypatch: pytest.MonkeyPatch
):
    told: list[Any] = []
    monkeypatch.setattr(wandb_results, "report_results", lambda run, results: told.append(results))
    own = (strong / "results.json").read_bytes()
    found = []
    for guide, scale in zip([*guides[option], guides[option][1]], (2, 2, 3), strict=True):
        words = [f"--{option}", guide, f"--{option}-scale", scale]
        done = lightning("evaluate", "--ckpt", strong, *words, *FEW)
        assert done.status == 0, done.err
        digest = digest_of(load(guide))
        name = f"{guide.parent.name}-{guide.name}-step-7-{digest[:8]}"
        path = strong / f"results_{option}={name}_{option}_scale={scale}.0.json"
        found.append(json.loads(path.read_text()))
        sampler = found[-1]["protocol"]["sampler"]["guidance"][0]
        assert (sampler[option], sampler["scale"]) == (digest, scale)
        changed = found[-1]["protocol"]["changed"]
        assert changed[option] == f"{guide.parent.name}/{guide.name} step 7 {digest[:8]}"
    assert len({one["scores"]["fid"]["value"] for one in found}) == 3
    assert (strong / "results.json").read_bytes() == own
    words = ["--ckpt", strong, f"--{option}", guides[option][0], *FEW, "--out", strong / "results.json"]
    assert lightning("evaluate", *words).status == 0
    assert told == [], "not the run's own scores, even where they are told to take the file"
    assert lightning("evaluate", "--ckpt", strong, *FEW).status == 0
    assert "changed" not in told[0]["protocol"]
    assert "guidance" not in told[0]["protocol"]["sampler"]


@pytest.mark.parametrize("option", OPTIONS)
def test_curves_over_its_scale_go_beside_the_models_own(
    option: str, strong: Path, guides: Any, lightning: Any
):
    for name in ("guidance.json", "solvers.json"):
        (strong / name).write_text("{}")
    curves = ["--guidance-scales", "0.5,3", "--solvers", "euler", "--nfe", "6"]
    words = [f"--{option}", guides[option][0], *curves, *FEW[:-1]]
    done = lightning("evaluate", "--ckpt", strong, *words)
    assert done.status == 0, done.err
    assert [(strong / name).read_text() for name in ("guidance.json", "solvers.json")] == ["{}", "{}"]
    (path,) = strong.glob(f"guidance_{option}=*.json")
    curve = json.loads(path.read_text())
    assert curve["guidance"] == option
    assert [point["sampler"]["guidance"][0]["scale"] for point in curve["points"]] == [0.5, 3]
    assert curve["points"][0]["sampler"]["guidance"][0][option] == digest_of(load(guides[option][0]))
    assert list(curve["protocol"]["changed"]) == [option], "its scale is the curve's"
    assert f"{option}_scale" not in path.name
    assert len(list(strong.glob(f"solvers_{option}=*_{option}_scale=*.json"))) == 1


def test_samples_say_what_guided_them(strong: Path, guides: Any, lightning: Any, tmp_path: Path):
    for option, (first, second) in guides.items():
        words = ["sample", "--ckpt", strong, "--num", 4]
        assert lightning(*words, f"--{option}", first, "--out", tmp_path / "a.npz").status == 0
        about = json.loads(str(np.load(tmp_path / "a.npz")["about"]))
        assert about["sampler"]["guidance"][0][option] == digest_of(load(first))
        assert about["changed"][option].startswith(f"{first.parent.name}/a step 7 ")
        shards = [*words, "--shard_size", 2, "--out", tmp_path / option]
        assert lightning(*shards, f"--{option}", first).status == 0
        done = lightning(*shards, f"--{option}", second)
        assert f"out: {tmp_path / option} holds samples with " in done.error
        assert lightning(*words, f"--{option}", first).status == 0
    assert len(list((strong / "samples").glob("seed0_*=*.png"))) == 2


def test_long_names_of_files_stay_apart():
    changes = {"classifier": "a" * 80, "weaker": "b" * 80, "weaker_scale": "2"}
    names = [suffix(changes), suffix({**changes, "weaker_scale": "3"})]
    assert len(set(names)) == 2
    assert all(len(name) == LONGEST for name in names)


def test_the_curve_under_a_classifier_is_kept_where_a_model_has_none_of_its_own(tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "guidance_classifier=c-a-step-7-00000000.json").write_text("by a classifier")
    (kept,) = keep_curves(RunDir(run), "flow", tmp_path / "curves")
    assert (kept.name, kept.read_text()) == ("flow_guidance.json", "by a classifier")
    (run / "guidance.json").write_text("classifier-free")
    assert keep_curves(RunDir(run), "flow", tmp_path / "curves")[0].read_text() == "classifier-free"
