"""Evaluation of reconstructions: chosen by what a family can do, beside baselines, in training and by the command."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from genlab.callbacks.reconstruction_metrics import choose_reconstruction
from genlab.core import DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.data import Digits, Synthetic
from genlab.experiments.evaluation import evaluate
from genlab.experiments.evaluation_plan import Request
from genlab.experiments.evaluation_table import results_table
from genlab.experiments.loading import Loaded
from genlab.experiments.world import World
from genlab.probability import EightGaussians


class Mean(nn.Module):
    """Reconstructs by each image's mean."""

    latent_spec = DataSpec("digits", {"latent": ModalitySpec((1,))})
    spec = Digits(limit=5).spec

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1).mean(1, keepdim=True)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.encode(x)[..., None, None].expand_as(x)


class Denoiser(Mean):
    """Adds noise and halves it."""

    can_denoise = True

    def corrupt(self, x: Tensor, rng: RandomStreams) -> Tensor:
        return (x + 0.5 * rng.normal(x.shape[1:])) * 0.9

    def denoise(self, x: Tensor) -> Tensor:
        return x / 0.9

    def corruption_protocol(self) -> dict[str, object]:
        return {"corruption": "a test's"}


class Whole(Mean):
    """Loses nothing."""

    def reconstruct(self, x: Tensor) -> Tensor:
        return x


def loaded(model: nn.Module, limit: int = 120) -> Loaded:
    section = {"class_path": "genlab.data.Digits", "init_args": {"limit": limit}}
    return Loaded(model, Mean.spec, {"data": section, "model": {}}, "raw", Path("x.ckpt"), None, 7, {})


def test_a_model_that_reconstructs_is_scored_beside_pca():
    results = evaluate(loaded(Mean()), Request())
    scores, pca = results["scores"], results["baselines"]["PCA, 1 components"]
    assert list(scores) == ["psnr", "ssim"]
    assert pca["psnr"]["value"] > scores["psnr"]["value"]
    x = next(Digits(limit=120).batches("test"))["image"]
    mse = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True)).square().mean()
    assert scores["psnr"]["value"] == pytest.approx(10 * torch.log10(4 / mse).item(), abs=1e-4)
    assert scores["ssim"]["protocol"] == {"num_samples": 120, "window": "uniform, 7x7"}
    assert "at least 32 pixels" in results["skipped"]["lpips"]
    json.dumps(results)
    whole = evaluate(loaded(Whole()), Request(metrics=["psnr"], baselines=False))
    assert whole["scores"]["psnr"]["value"] == pytest.approx(100)
    assert whole["baselines"] == {}


def test_a_denoiser_is_scored_beside_the_corrupted_and_the_filtered():
    results = evaluate(loaded(Denoiser()), Request())
    scores, baselines = results["scores"], results["baselines"]
    assert list(scores) == ["psnr", "ssim", "denoised_psnr", "denoised_ssim"]
    assert {"corrupted images", "median filter 3x3"} < set(baselines)
    assert scores["denoised_psnr"]["protocol"]["corruption"] == "a test's"
    assert "denoised_psnr" in baselines["corrupted images"]
    assert "psnr" not in baselines["corrupted images"]
    results_table(results, "Denoiser")
    again = evaluate(loaded(Denoiser()), Request(batch_size=50))
    for name, entry in scores.items():
        assert again["scores"][name]["value"] == pytest.approx(entry["value"], abs=1e-4)
    other = evaluate(loaded(Denoiser()), Request(metrics=["denoising"], seed=1))["scores"]
    assert list(other) == ["denoised_psnr", "denoised_ssim"]
    assert other["denoised_psnr"]["value"] != scores["denoised_psnr"]["value"]


def test_several_processes_share_the_batches():
    settings, model = {"baselines": False, "batch_size": 50}, loaded(Denoiser())
    whole, parts = evaluate(model, Request(**settings)), []
    other = World(rank=1, size=2)
    object.__setattr__(other, "gather", lambda blocks: parts.append(blocks) or [])
    assert evaluate(model, Request(**settings), world=other)["scores"] == {}
    first = SimpleNamespace(first=True, size=2, owns=lambda number: number % 2 == 0)
    first.gather = lambda blocks: [block for _, block in sorted((blocks | parts[0]).items())]
    assert evaluate(model, Request(**settings), world=first)["scores"] == whole["scores"]


@pytest.mark.parametrize(
    ("model", "metric", "message"),
    [
        (
            Mean(),
            "lpips",
            "auto or some of psnr, ssim; lpips needs grey or colour images of at least 32 pixels",
        ),
        (Mean(), "denoising", "denoising needs images that Mean restores"),
        (Mean(), "fid", "auto or some of psnr, ssim; Mean can't sample"),
    ],
)
def test_refusals(model, metric, message):
    with pytest.raises(UserError, match=message):
        evaluate(loaded(model), Request(metrics=[metric]))
    if metric != "fid":
        with pytest.raises(UserError, match=f"^metrics.metrics: got '{metric}'"):
            choose_reconstruction([metric], model)


def test_in_training_what_can_be_had_is_chosen():
    assert choose_reconstruction("auto", Mean()) == ["psnr", "ssim"]
    assert choose_reconstruction("auto", Denoiser()) == ["psnr", "ssim", "denoising"]
    assert choose_reconstruction(["fid"], Mean()) == []
    on_frozen = Mean()
    on_frozen.first_stage = nn.Identity()
    assert choose_reconstruction("auto", on_frozen) == [], "training changes nothing of it"
    assert choose_reconstruction(["psnr"], on_frozen) == ["psnr"]
    points = SimpleNamespace(spec=Synthetic(EightGaussians(), limit=5).spec, reconstruct=lambda x: x)
    assert choose_reconstruction("auto", points) == []
