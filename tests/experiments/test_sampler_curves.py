"""Curves over solvers and guidance: counts, protocols, files, refusals."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from genlab.cli.sampler_curves import numbers
from genlab.core import UserError
from genlab.experiments.loading import load_checkpoint
from genlab.experiments.sampler_curves import swept
from genlab.experiments.sampling_part import sampling_part
from genlab.probability import EightGaussians, ExactDenoiser, LinearPath
from genlab.solvers import (
    Autoguidance,
    ClassifierFreeGuidance,
    IntervalGuidance,
    solver_factories,
    solver_of,
)
from tests import tiny
from tests.run_folders import make_checkpoint, make_run

DENOISER = ExactDenoiser(EightGaussians(), LinearPath(1e-3, 0.999))
FEW = ["--num", 20, "--draws", 1, "--metrics", "fid,agreement"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from genlab.cli.main import run

    home = tmp_path_factory.mktemp("curves")
    tree = tiny.config("diffusion", max_steps=2)
    tree["samples"] = tree["metrics"] = {"every_n_steps": 100}
    words = ["fit", "--config", str(tiny.write(home / "a.yaml", tree)), "--run.root", str(home)]
    assert run([*words, "--run.id", "a", "--trainer.enable_progress_bar=false"]) == 0
    return home / "a" / "a"


@pytest.mark.parametrize("name", solver_factories())
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_every_solver_stays_within_its_budget_and_uses_it(name: str, scale: float):
    guided = ClassifierFreeGuidance(scale)(DENOISER)
    from genlab.solvers import network_evaluations

    counts = [network_evaluations(solver_of(name, budget, guided), guided) for budget in (8, 21)]
    assert 8 - 2 * 2 * scale < counts[0] <= 8
    assert 21 - 2 * 2 * scale < counts[1] <= 21


@pytest.mark.parametrize("scales", ["nan", "1,inf"])
def test_scales_are_finite(scales: str):
    with pytest.raises(UserError, match=r"guidance_scales: got (nan|inf), expected finite numbers"):
        numbers("guidance_scales", scales, float)


def test_a_curve_is_over_the_guidance_that_an_interval_limits():
    inner = Autoguidance(DENOISER, 2.0)
    part = SimpleNamespace(guidance=[IntervalGuidance(inner, 0.1, 1.0)])
    assert swept(part) == ("weaker", inner, "scale")
    assert swept(SimpleNamespace(guidance=[]))[0] == "classifier-free"
    limited = ClassifierFreeGuidance(3.0)
    part = SimpleNamespace(guidance=[IntervalGuidance(limited, 0.1, 1.0)])
    assert swept(part) == ("classifier-free", limited, "scale")


def test_solvers(run_dir: Path, lightning: Any):
    done = lightning("evaluate", "--ckpt", run_dir, "--solvers", "heun,dpmpp_2m", "--nfe", "2,6", *FEW)
    assert done.status == 0, done.err
    found = json.loads((run_dir / "solvers.json").read_text())
    rows = [(point["solver"], point["budget"], point["nfe"]) for point in found["points"]]
    assert rows == [("heun", 2, 1), ("heun", 6, 5), ("dpmpp_2m", 2, 2), ("dpmpp_2m", 6, 6)]
    for point in found["points"]:
        assert point["seconds"] > 0
        assert point["sampler"]["nfe"] == point["nfe"]
        assert point["scores"]["fid"]["value"] > 0
        assert "classes_by" in point["scores"]["agreement"]["protocol"]
    assert found["protocol"]["num_samples"] == 20
    assert found["protocol"]["weights"] == "ema 0.9"
    assert found["protocol"]["device"] == "cpu"
    assert found["floor"]["fid"]["value"] > 0
    assert Image.open(run_dir / "solvers.png").size[0] > 400
    assert "dpmpp_2m" in done.out
    assert "real data" in done.out


def test_guidance(run_dir: Path, lightning: Any, tmp_path: Path):
    out = tmp_path / "curve.json"
    done = lightning("evaluate", "--ckpt", run_dir, "--guidance-scales", "1,3", *FEW, "--out", out)
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert [(point["scale"], point["nfe"]) for point in found["points"]] == [(1, 3), (3, 6)]
    assert [point["sampler"]["guidance_scale"] for point in found["points"]] == [1, 3]
    assert found["guidance"] == "classifier-free"
    assert out.with_suffix(".png").is_file()
    assert sampling_part(load_checkpoint(run_dir)).guidance_scale == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--solvers", "euler,magic"], "solvers: got 'magic', expected some of ancestral, ddim"),
        (["--solvers", "edm_stochastic", "--nfe", "0"], "nfe: got 0, expected at least 1 evaluation"),
        (["--solvers", "ddim", "--nfe", "5,many"], "nfe: got '5,many', expected numbers"),
        (["--guidance-scales", "high"], "guidance_scales: got 'high', expected numbers"),
        (["--solvers", "ddim", "--reference", "."], "reference: got a folder"),
    ],
)
def test_refusals(run_dir: Path, lightning: Any, words: list[str], says: str):
    done = lightning("evaluate", "--ckpt", run_dir, *words)
    assert done.status == 2
    assert says in done.error


def test_noise_in_steps_is_refused_where_noise_is_coupled(lightning: Any, tmp_path: Path):
    run_dir = make_checkpoint(make_run(tmp_path / "coupled" / "1"), "coupled")
    done = lightning("evaluate", "--ckpt", run_dir, "--solvers", "ddim,ancestral", "--nfe", "2")
    assert done.status == 2
    assert "solver: got 'Ancestral', expected one without noise in its steps" in done.error


def test_budgets_below_one_step_are_refused():
    guided = ClassifierFreeGuidance(2.0)(DENOISER)
    with pytest.raises(UserError, match="nfe: got 1, expected at least 2 for ddim"):
        solver_of("ddim", 1, guided)
    assert numbers("guidance_scales", "1, 1.5", float) == [1.0, 1.5]


def test_a_family_without_a_solver_is_refused(lightning: Any, tmp_path: Path):
    tree = tiny.config("vae", max_steps=2)
    tree["samples"] = tree["metrics"] = {"every_n_steps": 100}
    words = ["--config", tiny.write(tmp_path / "vae.yaml", tree), "--run.root", tmp_path, "--run.id", "a"]
    assert lightning("fit", *words).status == 0
    done = lightning("evaluate", "--ckpt", tmp_path / "vae" / "a", "--solvers", "ddim")
    assert done.status == 2
    assert "ckpt: got 'VAE', expected a family that samples by a solver" in done.error
