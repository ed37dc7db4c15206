"""Evaluation of codes: chosen by what family and data can do, beside baselines, by the command too."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import DataSpec, ModalitySpec, RandomStreams, UserError
from genlab.data import Digits, Sprites
from genlab.experiments import evaluation_codes
from genlab.experiments.evaluation import evaluate
from genlab.experiments.evaluation_plan import Request
from genlab.experiments.loading import Loaded
from genlab.experiments.world import World
from genlab.metrics.disentanglement import DISENTANGLEMENT

CONFIG = Path(__file__).parents[2] / "configs" / "vae" / "beta_vae_sprites.yaml"


class Encoder(nn.Module):
    """Says where a sprite is and how large, and the share of each colour; or noise by the weight of its layer."""

    latent_spec = DataSpec("x", {"latent": ModalitySpec((6,))})

    def __init__(self, spec: Any = None, knows: bool = False):
        super().__init__()
        self.knows = nn.Parameter(torch.tensor(float(knows)))

    def encode(self, x: Tensor) -> Tensor:
        x, ramp = (x + 1) / 2, torch.linspace(0, 1, x.shape[-1])
        mass = x.amax(1).sum((1, 2)) + 1e-3
        places = [(x.amax(1).sum(axis) * ramp).sum(1) / mass for axis in (1, 2)]
        seen = torch.stack([*places, mass, *x.sum((2, 3)).div(mass[:, None]).round().unbind(1)], 1)
        return self.knows * seen + (1 - self.knows) * torch.sin(1e4 * seen)


class Samples(nn.Module):
    """Samples, and does not encode."""

    conditional = False
    needed_conditions = ()

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def sample(self, num_samples, *, condition=None, rng: RandomStreams):
        return torch.zeros(num_samples, 3, 32, 32)

    def sampling_protocol(self):
        return {"solver": "none", "nfe": 0}


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """What a config would build: an encoder that knows nothing."""
    monkeypatch.setattr(evaluation_codes, "build_model", lambda config, spec: Encoder(spec))


def loaded(model: nn.Module, data: str = "Sprites", limit: int = 1500) -> Loaded:
    section = {"class_path": f"genlab.data.{data}", "init_args": {"limit": limit}}
    spec = {"Sprites": Sprites, "Digits": Digits}[data](limit=5).spec
    return Loaded(model, spec, {"data": section, "model": {}}, "raw", Path("x.ckpt"), None, 7, {})


def test_an_encoder_is_scored_on_data_with_factors_beside_what_knows_nothing():
    results = evaluate(loaded(Encoder(knows=True)), Request(num=1000, split="val"))
    scores, baselines = results["scores"], results["baselines"]
    assert list(scores) == [score for metric in DISENTANGLEMENT.values() for score in metric.scores]
    assert list(baselines) == ["random encoder", "random code"]
    for name, entry in scores.items():
        assert set(baselines["random code"]) == set(scores)
        assert entry["value"] > baselines["random code"][name]["value"] + 0.1, name
        assert entry["value"] > baselines["random encoder"][name]["value"], name
        assert entry["protocol"]["num_samples"] == 1000
        assert entry["protocol"]["codes"] == "encode, 6 dimensions"
    assert scores["mig"]["protocol"]["bins"] == 20
    assert results["protocol"]["split"] == "val"
    assert not results["skipped"]
    json.dumps(results)


class Map(Encoder):
    """As many dimensions as a map of features has, most of which say nothing."""

    latent_spec = DataSpec("x", {"latent": ModalitySpec((6, 4, 4))})

    def encode(self, x: Tensor) -> Tensor:
        return functional.pad(super().encode(x)[..., None, None], (0, 3, 0, 3))


def test_what_takes_minutes_on_wide_codes_is_left_out_unless_asked_for():
    settings = {"num": 64, "baselines": False}
    results = evaluate(loaded(Map(knows=True)), Request(**settings))
    assert results["skipped"] == {"dci": "takes minutes on codes of 96 dimensions; ask for it by name"}
    assert "mig" in results["scores"]
    asked = evaluate(loaded(Map(knows=True)), Request(metrics=["dci"], **settings))
    assert set(asked["scores"]) == set(DISENTANGLEMENT["dci"].scores)
    assert not asked["skipped"]


def test_scores_depend_neither_on_batches_nor_on_processes():
    settings = {"metrics": ["mig", "factor_vae"], "num": 300, "baselines": False}
    model = loaded(Encoder(knows=True))
    whole = evaluate(model, Request(**settings))
    assert set(whole["scores"]) == {"mig", "factor_vae_score"}
    assert whole["baselines"] == {}
    parts: list[dict] = []
    first = SimpleNamespace(first=True, size=2, owns=lambda number: number % 2 == 0)
    other = World(rank=1, size=2)
    object.__setattr__(other, "gather", lambda blocks: parts.append(blocks) or [])
    assert evaluate(model, Request(**settings, batch_size=50), world=other)["scores"] == {}
    rest = iter(parts)
    first.gather = lambda blocks: [block for _, block in sorted((blocks | next(rest)).items())]
    assert evaluate(model, Request(**settings, batch_size=50), world=first)["scores"] == whole["scores"]


@pytest.mark.parametrize(
    ("model", "data", "settings", "line"),
    [
        (Encoder(), "Sprites", {"num": 2000}, "num: got 2000, expected at most 1,500"),
        (Samples(), "Sprites", {"metrics": ["mig"]}, "metrics: got 'mig'.*Samples can't encode"),
        (Encoder(), "Sprites", {"metrics": ["fid"]}, "metrics: got 'fid'.*beta_vae.*Encoder can't sample"),
        (
            Encoder(),
            "Sprites",
            {"metrics": ["mig"], "reference": Path("x")},
            "'mig' with --reference.*leave mig out",
        ),
        (Encoder(), "Digits", {}, "got a Encoder, expected a family that"),
    ],
)
def test_what_cannot_be_had_is_one_line(model, data, settings, line, monkeypatch):
    monkeypatch.setattr("genlab.experiments.evaluation.folder_data", None)
    with pytest.raises(UserError, match=line):
        evaluate(loaded(model, data), Request(**settings))


def test_a_trained_vae_by_the_command(tmp_path: Path, lightning: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()  # the encoder that its config builds
    words = ["--trainer.max_steps=2", "--trainer.limit_val_batches=1", "--trainer.val_check_interval=2"]
    words += ["--data.batch_size=8", "--samples.every_n_steps=0", "--run.wandb=off", "--run.id=a"]
    done = lightning("fit", "--config", CONFIG, f"--run.root={tmp_path}", *words)
    assert done.status == 0, done.err
    run = tmp_path / "beta_vae_sprites" / "a"
    done = lightning("evaluate", "--ckpt", run, "--metrics", "mig,sap", "--num", 200)
    assert done.status == 0, done.err
    results = json.loads((run / "results.json").read_text())
    assert list(results["baselines"]) == ["random encoder", "random code"]
    assert set(results["scores"]) == {"mig", "sap"}
    assert 0 <= results["scores"]["mig"]["value"] <= 1
