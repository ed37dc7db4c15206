"""The classifier of noisy data: it learns, says so over t, and guides models on its own path alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from genlab.core import Condition, DataSpec, ModalitySpec, UserError
from genlab.data import Digits
from genlab.experiments.loading import load
from genlab.experiments.run_logger import read_rows
from genlab.families import NoisyClassifier
from genlab.networks import NoisyEncoder
from genlab.probability import EDMPath
from tests import tiny


def network(spec):
    return NoisyEncoder(spec, channels=16, multipliers=[1, 2], num_blocks=1, attention=[])


def fit(model: NoisyClassifier, steps: int) -> dict[str, float]:
    data = Digits(batch_size=128, device="cpu")
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _, batch in zip(range(steps), (b for _ in range(99) for b in data.train_dataloader()), strict=False):
        optimizer.zero_grad()
        model.losses("train", batch)["loss"].backward()
        optimizer.step()
    batch = next(data.batches("val", batch_size=400))
    with torch.no_grad():
        return {name: float(value) for name, value in model.eval().losses("val", batch).items()}


def test_it_learns_and_knows_less_at_higher_noise():
    torch.manual_seed(0)
    model = NoisyClassifier(Digits().spec, network)
    first, last = fit(model, 0), fit(model, 60)
    assert first["accuracy"] < 0.3
    low, high = last["accuracy_t0.1"], last["accuracy_t0.9"]
    assert low > 0.8
    assert low > high + 0.3
    assert last["loss"] < first["loss"]
    assert last["accuracy"] == pytest.approx(np.mean([v for k, v in last.items() if "_t" in k]), abs=1e-5)


def test_log_prob_is_normalised_and_differentiable():
    model = NoisyClassifier(Digits().spec, network, path=EDMPath()).eval()
    x, t = torch.randn(3, 1, 8, 8, requires_grad=True), torch.tensor([0.1, 0.5, 1.0])
    each = [model.log_prob_of(x, t, Condition(label=torch.full((3,), k))) for k in range(10)]
    assert torch.allclose(torch.stack(each).exp().sum(0), torch.ones(3), atol=1e-5)
    assert torch.autograd.grad(each[0].sum(), x)[0].isfinite().all()


def test_refusals():
    spec = DataSpec("x", {"image": ModalitySpec((1, 8, 8))})
    with pytest.raises(UserError, match="data: got 'x', expected data with labels"):
        NoisyClassifier(spec, lambda spec: nn.Linear(1, 1))
    with pytest.raises(UserError, match="data: got 'x', expected data with labels"):
        NoisyEncoder(spec)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An unconditional model, classifiers on its path and on another, and the model with labels."""
    from genlab.cli.main import run

    home = tmp_path_factory.mktemp("guided")
    encoder = {"channels": 8, "multipliers": [1, 2], "num_blocks": 1, "attention": []}
    model = {"network": {"class_path": "genlab.networks.NoisyEncoder", "init_args": encoder}}
    classifier = {"class_path": "genlab.families.NoisyClassifier", "init_args": model}
    other = {
        "class_path": "genlab.families.NoisyClassifier",
        "init_args": {**model, "path": {"class_path": "genlab.probability.CosinePath"}},
    }
    trees = {
        name: tiny.config("diffusion", max_steps=2, val_check_interval=2) for name in ("free", "on", "off")
    }
    trees["free"]["model"]["init_args"]["network"]["init_args"]["conditional"] = False
    trees["free"]["model"]["init_args"]["label_dropout"] = 0.0
    trees["on"]["model"], trees["off"]["model"] = classifier, other
    for name, tree in trees.items():
        words = ["fit", "--config", str(tiny.write(home / f"{name}.yaml", tree))]
        assert (
            run([*words, "--run.root", str(home), "--run.id", "a", "--trainer.enable_progress_bar=false"])
            == 0
        )
    return {name: home / name / "a" for name in trees}


def test_accuracy_over_time_is_logged(runs: Any):
    columns = read_rows(runs["on"] / "metrics.csv")[0]
    assert {"val/accuracy", "val/accuracy_t0.1", "val/accuracy_t0.9", "train/accuracy"} <= set(columns)


def test_sampling_is_guided(runs: Any, lightning: Any, tmp_path: Any):
    found = []
    for scale in (0, 20):
        out = tmp_path / f"{scale}.npz"
        words = ["--classifier", runs["on"], "--classifier-scale", scale, "--label", 3, "--num", 4]
        done = lightning("sample", "--ckpt", runs["free"], *words, "--out", out)
        assert done.status == 0, done.err
        found.append(np.load(out))
    classifier, t = load(runs["on"]), torch.full((4,), 0.05)

    def log_prob(images, label):
        condition = Condition(label=torch.full((4,), label))
        with torch.no_grad():
            return classifier.log_prob_of(torch.from_numpy(images["image"]), t, condition).mean()

    rise = [log_prob(found[1], label) - log_prob(found[0], label) for label in range(10)]
    assert rise[3] > 0.01
    assert rise[3] == max(rise)  # towards the class that was asked for, and not towards all
    assert found[1]["label"].tolist() == [3] * 4
    assert '"guidance": "classifier"' in str(found[1]["about"])


def test_guidance_is_refused_in_one_line(runs: Any, lightning: Any):
    sample = ["sample", "--ckpt", runs["free"]]
    done = lightning(*sample, "--classifier", runs["off"])
    assert done.status == 2
    assert "classifier: got" in done.error
    assert "CosinePath" in done.error
    done = lightning(*sample, "--classifier", runs["free"])
    assert "classifier: got 'Diffusion', expected a classifier of noisy data" in done.error
    done = lightning("sample", "--ckpt", runs["on"])
    assert "ckpt: got 'NoisyClassifier', expected a family that can sample" in done.error
    done = lightning(*sample, "--classifier", runs["on"], "--classifier-scale", -1)
    assert "scale: got -1.0" in done.error
    done = lightning(*sample, "--label", 3)
    assert "label: got 3, expected none" in done.error
