"""Rate and distortion: of codes whose price and loss are known, by any number of processes, on the page."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genlab.core import UserError
from genlab.data import Digits
from genlab.experiments.comparison import compare
from genlab.experiments.evaluation import evaluate
from genlab.experiments.evaluation_plan import Request
from genlab.experiments.evaluation_rate import code_of, rate_scores
from genlab.experiments.evaluation_sides import silent
from genlab.experiments.loading import Loaded
from genlab.experiments.rate_baselines import SIZE
from genlab.experiments.report import render
from genlab.experiments.world import World
from genlab.metrics import PCAKMeans
from tests.latent_models import Linear, Tokenizer
from tests.run_folders import make_run

DATA = Digits(limit=60)


def loaded(model):
    section = {"class_path": "genlab.data.Digits", "init_args": {"limit": 60}}
    return Loaded(model, DATA.spec, {"data": section, "model": {}}, "raw", Path("x.ckpt"), None, 7, {})


def data(split="test", num=None):
    return torch.cat([batch["image"] for batch in DATA.batches(split, num=num)])


def test_tokens_cost_their_length_and_lose_what_they_round_off():
    results = evaluate(loaded(Tokenizer()), Request())
    scores, x = results["scores"], data()
    assert scores["rate_bits"]["value"] == pytest.approx(16 * math.log2(17))
    assert scores["rate_bits"]["protocol"]["code"] == "16 tokens of 17 values, fixed length"
    model = Tokenizer()
    y = model.detokenize(model.tokenize(x))
    assert scores["distortion_mse"]["value"] == pytest.approx(float((x - y).square().mean()))
    per_image = (x - y).square().mean((1, 2, 3)).double()
    error = float(per_image.std(correction=0)) / math.sqrt(len(x))
    assert scores["distortion_mse"]["protocol"]["standard_error"] == pytest.approx(error, rel=1e-5)
    mean = results["baselines"]["training mean"]
    assert mean["rate_bits"]["value"] == 0
    expected = float((x - data("train").mean(0)).square().mean())
    assert mean["distortion_mse"]["value"] == pytest.approx(expected, rel=1e-5)
    assert scores["distortion_mse"]["value"] < mean["distortion_mse"]["value"]
    json.dumps(results)


def test_tokens_are_counted_over_the_whole_split():
    model, x = Tokenizer(), data()
    scores = evaluate(loaded(model), Request(metrics=["rate"], batch_size=13, baselines=False))["scores"]
    counts = torch.bincount(model.tokenize(x).flatten(), minlength=17)
    assert scores["usage"]["value"] == pytest.approx(int((counts > 0).sum()) / 17)
    p = counts[counts > 0] / counts.sum()
    assert scores["perplexity"]["value"] == pytest.approx(float((-(p * p.log()).sum()).exp()), rel=1e-5)
    assert scores["usage"]["protocol"]["num_tokens"] == 16 * len(x)


def test_pca_and_kmeans_have_the_tokens_bits_and_see_training_data_alone():
    results = evaluate(loaded(Tokenizer()), Request(metrics=["rate"]))
    bits, x = math.ceil(16 * math.log2(17)), data()
    baseline = results["baselines"][f"PCA and k-means, {bits} bits"]
    assert baseline["rate_bits"]["value"] == bits
    model = PCAKMeans(data("train"), bits, SIZE)
    assert sum(model.allocation) == bits
    expected = float((model.reconstruct(x) - x).square().mean())
    assert baseline["distortion_mse"]["value"] == pytest.approx(expected, rel=1e-4)
    assert expected < results["baselines"]["training mean"]["distortion_mse"]["value"]
    others = evaluate(loaded(Linear()), Request(metrics=["rate"]))["baselines"]
    assert not any("k-means" in title for title in others)


def test_latents_cost_their_divergence_and_what_is_decoded_is_what_was_paid_for():
    model, x = Linear(), data()
    scores = evaluate(loaded(model), Request(metrics=["rate"], baselines=False))["scores"]
    nats = model.encode(x).square().sum(1).mean()
    assert scores["rate_bits"]["value"] == pytest.approx(float(nats) / math.log(2), rel=1e-5)
    # The decoder's columns are orthonormal: noise in the latents is added to what the mean loses.
    mean = (x - model.reconstruct(x)).square().mean()
    noise = model.spread.square().sum() / 64
    assert scores["distortion_mse"]["value"] == pytest.approx(float(mean + noise), rel=0.1)
    assert scores["distortion_mse"]["value"] > 1.02 * float(mean)
    assert "posterior draws" in code_of(model).words


def test_scores_depend_neither_on_batches_nor_on_processes():
    model = loaded(Linear())
    whole, _ = rate_scores(model, Request(num=50), DATA, silent)
    parts = []
    other = World(rank=1, size=2)
    object.__setattr__(other, "gather", lambda blocks: parts.append(blocks) or [])
    assert rate_scores(model, Request(num=50, batch_size=7), DATA, silent, other) == ({}, {})
    first = SimpleNamespace(first=True, size=2, owns=lambda number: number % 2 == 0)
    first.gather = lambda blocks: [block for _, block in sorted((blocks | parts[0]).items())]
    split, _ = rate_scores(model, Request(num=50, batch_size=7), DATA, silent, first)
    for name, entry in whole.items():
        assert split[name]["value"] == pytest.approx(entry["value"], rel=1e-6)


def test_a_model_without_codes_says_what_it_can_give():
    assert code_of(make_sampler()) is None
    with pytest.raises(UserError, match="metrics: got 'rate'"):
        evaluate(loaded(make_sampler()), Request(metrics=["rate"]))


def make_sampler():
    class Samples(torch.nn.Module):
        conditional = False
        needed_conditions = ()

        def sample(self, num_samples, *, condition=None, rng):
            return rng.normal((1, 8, 8))

        def sampling_protocol(self):
            return {}

    return Samples()


def test_the_page_plots_runs_that_have_both(tmp_path):
    page = render(compare([make_run(tmp_path / "gan" / "1", scores={"fid": 1.0})]))
    assert 'id="rate"' not in page
    runs = []
    for name, rate, error in (("vae", 17.8, 0.05), ("vq", 48.0, 0.01), ("gan", None, None)):
        scores = {"fid": 1.0} if rate is None else {"rate_bits": rate, "distortion_mse": error}
        mean = {"training mean": {"rate_bits": 0.0, "distortion_mse": 0.26}} if rate else {}
        runs.append(make_run(tmp_path / "all" / name, scores=scores, baselines=mean))
        results = json.loads((runs[-1] / "results.json").read_text())
        for entry in results["scores"].values():
            entry["protocol"] = {"code": f"the code of {name}"} if rate else {}
        (runs[-1] / "results.json").write_text(json.dumps(results))
    comparison = compare(runs)
    columns = [c for c in comparison.columns if c.metric == "rate_bits"]
    assert len(columns) == 1  # another code is no other protocol: it is what is compared
    assert columns[0].best() == {0}
    page = render(comparison)
    assert page.count("<circle") == 3
    for words in (
        "all/vae: 17.8 bits, MSE 0.05",
        "all/vq: the code of vq",
        "training mean: 0 bits, MSE 0.26",
    ):
        assert words in page, words
    assert page.index('id="scores"') < page.index('id="rate"') < page.index('id="curves"')


def test_the_page_shows_views_where_there_are_any(tmp_path):
    runs = [make_run(tmp_path / name / "1") for name in ("vae", "gan")]
    (runs[0] / "samples" / "traversals.png").write_bytes((runs[0] / "samples" / "latest.png").read_bytes())
    page = render(compare(runs))
    assert page.count("data:image/png;base64,") == 3
    assert "<summary>traversals</summary>" in page
    assert 'alt="traversals of vae"' in page
    assert "<summary>tokens</summary>" not in page
