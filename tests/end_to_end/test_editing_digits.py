"""Real digits edited by the shipped flow: filled in, redrawn, inverted.

GENLAB_TEST_RUN=runs/flow_matching_digits/demo takes a run that is there; else one is trained.
"""

import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genlab.cli.main import run
from genlab.core import Condition
from genlab.data import Digits
from genlab.experiments.editing import draw_edited
from genlab.experiments.edits import Edit
from genlab.experiments.loading import Loaded, load_checkpoint
from genlab.experiments.sampling import Request
from genlab.metrics import DigitsJudge
from genlab.solvers import invert
from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NUM = 200


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    there = os.environ.get("GENLAB_TEST_RUN")
    if not there:
        home = tmp_path_factory.mktemp("digits")
        config = ROOT / "configs" / "diffusion" / "flow_matching_digits.yaml"
        assert run(["fit", "--config", str(config), "--run.root", str(home), "--run.id=a"]) == 0
        there = str(Path(home) / config.stem / "a")
    return load_checkpoint(there)


@pytest.fixture(scope="module")
def digits() -> dict[str, Tensor]:
    return next(Digits().batches("test", batch_size=NUM, num=NUM))


@pytest.fixture(scope="module")
def judge() -> DigitsJudge:
    train = next(Digits().batches("train", batch_size=2000))
    return DigitsJudge(train["image"], train["label"])


def edited(flow: Loaded, edit: Edit) -> Tensor:
    return torch.cat([batch["image"] for batch in draw_edited(flow, Request(num=len(edit.images)), edit)])


def test_lower_half_filled_in(flow: Loaded, digits: dict[str, Tensor], judge: DigitsJudge):
    """The upper half stays as it is, and the whole is the digit that it was."""
    x, label = digits["image"], digits["label"]
    missing = (torch.arange(8) >= 4).view(1, 8, 1).expand(1, 8, 8)
    filled = edited(flow, Edit("inpaint", x, label, missing=missing))
    assert ((filled - x).abs() * ~missing).max() < 1e-3
    blank = x.masked_fill(missing, -1)
    assert (
        (judge.predict(filled) == label).float().mean()
        >= 0.9
        > (judge.predict(blank) == label).float().mean()
    )


def test_resampling_brings_the_halves_to_agree(flow: Loaded, digits: dict[str, Tensor], judge: DigitsJudge):
    """Told no class, the lower half is of the upper half's digit more often where it is drawn again and again."""
    x, label = digits["image"], digits["label"]
    missing = (torch.arange(8) >= 4).view(1, 8, 1).expand(1, 8, 8)
    once, often = (
        (judge.predict(edited(flow, Edit("inpaint", x, missing=missing, resamples=n))) == label)
        .float()
        .mean()
        for n in (1, 10)
    )
    assert once < often


def test_farther_with_strength(flow: Loaded, digits: dict[str, Tensor]):
    x, label = digits["image"], digits["label"]
    strengths = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    far = [(edited(flow, Edit("from", x, label, strength=s)) - x).square().mean().item() for s in strengths]
    assert far[0] < 1e-6
    assert all(a < b for a, b in pairwise(far)), far


def test_inverted_and_back(flow: Loaded, digits: dict[str, Tensor]):
    x, label = digits["image"][:64], digits["label"][:64]
    error = (edited(flow, Edit("invert", x, label)) - x).square().flatten(1).mean(1)
    assert (10 * torch.log10(4 / error)).min() >= 30  # PSNR in dB; values span 2
    # What is in between is noise and not the image, which the identity would leave.
    with flow.model.evaluating():
        z = invert(flow.model.guided(), x, condition=Condition(label=label))
    # Pixels that are the same in all digits have no spread there, so that z has a little less than 1.
    assert abs(z.mean()) < 0.2
    assert 0.6 < z.std() < 1.3
    assert abs(torch.corrcoef(torch.stack([z.flatten(), x.flatten()]))[0, 1]) < 0.5
