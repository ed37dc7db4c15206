"""Evaluation: scores in their order against floor and baselines, protocols, refusals, and the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genlab.cli.evaluate import extractor_of
from genlab.cli.main import run as command
from genlab.core import Condition, LogProb, RandomStreams, UserError, WorkError
from genlab.data.digits import Digits
from genlab.data.synthetic import Synthetic
from genlab.experiments.evaluation import evaluate, write_results
from genlab.experiments.evaluation_plan import Request
from genlab.experiments.evaluation_table import results_table
from genlab.experiments.loading import Loaded
from genlab.metrics import ClasswiseGaussian, Inception, ModuleFeatures, Pixels
from genlab.metrics.reference import gather_data
from genlab.probability import EightGaussians

DATA = {"class_path": "genlab.data.Digits", "init_args": {"limit": 120}}
ALL = {"class_path": "genlab.data.Digits"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path / "cache"))


class Sampler(nn.Module):
    """Samples from a class-wise Gaussian, or noise."""

    conditional = True
    needed_conditions = ()

    def __init__(self, noise: bool = False):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        data = gather_data(Digits(device="cpu").batches("train"), "image")
        self.gaussian, self.noise = ClasswiseGaussian(*data), noise

    def sample(self, num_samples, *, condition: Condition | None = None, rng: RandomStreams):
        if self.noise:
            return rng.normal((1, 8, 8))
        labels = torch.from_numpy(rng.indices) % 10 if condition is None else condition.label
        return self.gaussian.sample(labels, rng)

    def sampling_protocol(self):
        return {"solver": "none", "nfe": 0}


class Unconditional(Sampler):
    conditional = False
    needed_conditions = ()


class Broken(Unconditional):
    """A sample of each batch is no number."""

    def sample(self, num_samples, *, condition: Condition | None = None, rng: RandomStreams):
        x = super().sample(num_samples, condition=condition, rng=rng)
        x[1, 0, 0, 0] = torch.nan
        return x


class Uniform(nn.Module):
    """A likelihood, and no samples."""

    conditional = False
    needed_conditions = ()

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def log_prob(self, x, *, condition=None, rng=None, num_samples=5):
        assert len(rng) == len(x)
        nats = torch.full((len(x),), -64 * math.log(17)) - 1 / num_samples
        return LogProb(nats, "bound", "discrete", f"{num_samples} samples")


class Both(Unconditional, Uniform):
    """Samples and likelihoods."""


def loaded(model: nn.Module, data=DATA) -> Loaded:
    return Loaded(model, Digits().spec, {"data": data}, "ema 0.9", Path("x.ckpt"), None, 7, {})


def test_scores_stand_between_floor_and_noise(monkeypatch):
    request = Request(metrics=["fid", "kid", "memory", "histogram", "judge"], draws=2)
    good = evaluate(loaded(Sampler(), ALL), request)
    noise = evaluate(loaded(Sampler(noise=True), ALL), Request(metrics=["fid", "judge"], draws=1))["scores"]
    scores, baselines = good["scores"], good["baselines"]
    titles = ["floor (val against test)", "class-wise Gaussian", "training images"]
    titles += ["training images plus noise 0.1", "training images, one class dropped"]
    assert list(baselines) == titles

    def value(name, title=None):
        return (baselines[title] if title else scores)[name]["value"]

    floor, gaussian, training, _, dropped = titles
    assert value("fid_ratio", floor) == 1
    assert 2 < value("fid_ratio") == pytest.approx(value("fid") / value("fid", floor))
    assert noise["fid"]["value"] > 5 * value("fid")
    assert value("fid", gaussian) == pytest.approx(value("fid"), rel=0.3)
    assert value("fid", dropped) > 4 * value("fid", training)
    assert value("judge") > 0.95
    assert noise["judge"]["value"] < 0.3
    assert value("memory", training) == pytest.approx(0, abs=1e-5)
    assert value("copies", training) == 1
    assert value("memory", floor) == pytest.approx(1, abs=0.1)
    assert value("histogram", dropped) > 0.05 > value("histogram", floor)
    assert set(good["per_class"]["fid"]) == set("0123456789")

    protocol = good["protocol"]
    assert (protocol["num_samples"], protocol["num_draws"], protocol["split"]) == (359, 2, "test")
    assert (protocol["weights"], protocol["step"], protocol["sampler"]["nfe"]) == ("ema 0.9", 7, 0)
    assert protocol["extractor"].startswith("digits classifier ")
    assert scores["kid"]["protocol"] == {"subsets": 1, "subset_size": 359}
    assert scores["fid"]["std"] > 0
    assert noise["fid"]["std"] is None
    json.dumps(good)

    # The same again, with the baselines from disk.
    monkeypatch.setattr("genlab.experiments.evaluation_baselines.samples", None)
    assert evaluate(loaded(Sampler(), ALL), request) == good


def test_two_sample_test_tells_real_data_from_a_gaussian_and_from_noise():
    request = Request(metrics=["c2st"], draws=1, baselines=False)
    gaussian, noise = (
        evaluate(loaded(Sampler(noise)), request)["scores"]["two_sample"] for noise in (False, True)
    )
    assert 0.6 < gaussian["value"] < 0.95 < noise["value"]
    assert gaussian["protocol"]["num_per_side"] == 120


def test_the_table_shows_all_of_it():
    from rich.console import Console

    results = evaluate(loaded(Unconditional()), Request(metrics=["fid", "prdc"], draws=2))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(results_table(results, "Sampler"))
    text = console.export_text()
    for word in ("fid ↓", "coverage ↑", "±", "Gaussian", "120 generated", "neighbours 5", "ema 0.9"):
        assert word in text


def test_an_unconditional_family_goes_without_label_agreement():
    results = evaluate(loaded(Unconditional()), Request(draws=1, baselines=False))
    assert "asked labels" in results["skipped"]["judge"]
    assert "histogram" in results["scores"]
    assert not {"judge", "agreement"} & set(results["scores"])
    with pytest.raises(
        UserError, match=r"metrics: got 'judge', expected auto or some of fid, .*needs asked labels"
    ):
        evaluate(loaded(Unconditional()), Request(metrics=["judge"], draws=1))


def test_samples_that_are_no_numbers_get_no_scores():
    with pytest.raises(WorkError, match="1 of samples 0 to 11 are not finite"):
        evaluate(loaded(Broken()), Request(metrics=["fid"], draws=1, num=12, baselines=False))


def test_likelihoods_say_what_they_are():
    results = evaluate(loaded(Uniform()), Request(num=50))
    bpd, elbo = results["scores"]["bpd"], results["scores"]["elbo_bpd"]
    assert bpd["value"] == pytest.approx(math.log2(17) + 1 / 5 / 64 / math.log(2))
    assert elbo["value"] == pytest.approx(math.log2(17) + 1 / 64 / math.log(2))
    assert bpd["protocol"]["method"] == "5 samples"
    assert (bpd["protocol"]["likelihood"], bpd["protocol"]["num_samples"]) == ("bound", 50)
    assert list(results["scores"]) == ["bpd", "elbo_bpd"]
    assert results["baselines"]["histogram per pixel"]["bpd"]["value"] < bpd["value"]
    both = evaluate(loaded(Both()), Request(metrics=["bpd", "fid"], draws=1))
    assert set(both["scores"]) == {"bpd", "elbo_bpd", "fid", "fid_ratio"}


class Points(nn.Module):
    """Samples of eight Gaussians, moved by a little."""

    conditional = False
    needed_conditions = ()

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def sample(self, num_samples, *, condition=None, rng: RandomStreams):
        seeds = rng.integers(2**31)
        return 0.2 + torch.cat(
            [EightGaussians().sample(1, torch.Generator().manual_seed(int(s))) for s in seeds]
        )

    def sampling_protocol(self):
        return {"solver": "none", "nfe": 0}


def test_vectors_have_their_sliced_distance_in_units_of_the_floors():
    data = {
        "class_path": "genlab.data.Synthetic",
        "init_args": {"density": {"class_path": "genlab.probability.EightGaussians"}, "limit": 300},
    }
    model = Loaded(Points(), Synthetic(EightGaussians()).spec, {"data": data}, "raw", Path("x"), None, 7, {})
    results = evaluate(model, Request(metrics=["swd"], draws=1))
    scores, floor = results["scores"], results["baselines"]["floor (val against test)"]
    assert list(scores) == list(floor) == ["swd", "swd_ratio"]
    assert floor["swd_ratio"]["value"] == 1
    assert scores["swd_ratio"]["value"] == pytest.approx(scores["swd"]["value"] / floor["swd"]["value"])
    assert scores["swd_ratio"]["value"] > 1.5
    assert scores["swd_ratio"]["protocol"]["floor"] == floor["swd"]["value"]
    assert "swd_ratio ↓" in str(list(results_table(results, "Points").renderables[0].columns[0].cells))


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (
            Sampler,
            {"metrics": ["bpd"]},
            "got 'bpd', expected auto or some of fid, kid.*Sampler has no likelihood",
        ),
        (Uniform, {"metrics": ["fid"]}, "got 'fid', expected auto or some of bpd; Uniform can't sample"),
        (Sampler, {"num": 500}, "num: got 500, expected at most 120"),
        (Sampler, {"metrics": ["is"], "extractor": Pixels()}, "got 'is'.*is needs logits"),
        (lambda: nn.Linear(1, 1), {}, "ckpt: got a Linear, expected a family that samples"),
    ],
)
def test_what_cannot_be_given_is_refused_in_one_line(model, arguments, words):
    with pytest.raises(UserError, match=words) as error:
        evaluate(loaded(model()), Request(**arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metrics": ["fidd"]}, "metrics: got 'fidd'.*bpd"),
        ({"num": 0}, "num: got 0"),
        ({"draws": 0}, "draws: got 0"),
        ({"batch_size": 0}, "batch_size: got 0"),
        ({"split": "dev"}, "split: got 'dev'"),
    ],
)
def test_bad_requests_are_named(arguments, words):
    with pytest.raises(UserError, match=words):
        Request(**arguments)


def test_a_folder_of_images_takes_the_splits_place(tmp_path):
    x, _ = gather_data(Digits(device="cpu").batches("test", num=80), "image")
    for number, image in enumerate(((x + 1) * 127.5).byte()):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{number}.png")
    request = Request(metrics=["fid", "prdc"], draws=2, reference=tmp_path)
    results = evaluate(loaded(Sampler(), data=None), request)
    assert results["protocol"]["num_samples"] == 80
    assert results["protocol"]["dataset"] == tmp_path.name
    assert list(results["baselines"]) == ["floor (half of the folder against half)"]
    assert "fid_ratio" not in results["scores"]
    with pytest.raises(UserError, match="got 'bpd' with --reference"):
        evaluate(loaded(Both(), data=None), Request(metrics=["bpd"], reference=tmp_path))


def test_extractors_by_name(tmp_path):
    assert extractor_of("auto") is None
    assert isinstance(extractor_of("pixels"), Pixels)
    assert isinstance(extractor_of("weights.pth"), Inception)
    assert isinstance(extractor_of("torch.nn.Flatten"), ModuleFeatures)
    for name in ("nothing", "torch.nn.Nothing", "torch.nn.Linear", "pathlib.Path"):
        with pytest.raises(UserError, match="extractor: got"):
            extractor_of(name)


def test_results_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="out: got"):
        write_results({}, tmp_path / "file" / "results.json")


def test_the_command_writes_results_and_refuses_in_one_line(tmp_path, monkeypatch, capsys):
    def load(path, weights, device, changes):
        assert (path, weights, str(device)) == ("run", "raw", "cpu")
        return loaded(Sampler())

    monkeypatch.setattr("genlab.experiments.loading.load_checkpoint", load)
    words = ["evaluate", "--ckpt", "run", "--weights", "raw", "--device", "cpu", "--draws", "1"]
    out = tmp_path / "results.json"
    assert command([*words, "--metrics", "fid,prdc", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "fid ↓" in shown.out
    assert "sampling" in shown.err
    before = out.read_text()
    scores = json.loads(before)["scores"]
    assert list(scores) == ["fid", "fid_ratio", "precision", "recall", "density", "coverage"]
    assert np.isfinite([score["value"] for score in scores.values()]).all()
    assert command([*words, "--metrics", "fid,bpd", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: metrics: got 'bpd', expected auto or some of fid, kid")
    assert error.count("\n") == 1
    assert out.read_text() == before
