"""What is seen of a training: on a terminal a bar, in a log file few lines."""

import re
from pathlib import Path
from typing import Any

import pytest

from genlab.cli.progress import TrainingProgress
from tests import forked, tiny


@pytest.fixture
def words(tmp_path: Path) -> list[Any]:
    tree = tiny.config("vae", max_steps=30)
    tree["samples"]["every_n_steps"] = 0
    tree["metrics"] |= {"every_n_steps": 7, "metrics": ["fid"]}
    return ["fit", "--config", tiny.write(tmp_path / "vae.yaml", tree), "--run.root", tmp_path / "runs"]


def test_few_lines_in_a_log(words: list[Any], lightning: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TrainingProgress.__init__, "__defaults__", (0.25, 600.0, 600.0))  # on any machine
    said = lightning(*words).err.splitlines()
    assert len(said) == 7, said
    assert said[0].startswith("run: ")
    assert said[1] == "VAE, 241,177 parameters; 168 samples of digits, 16 a batch; cpu"
    assert re.fullmatch(r"step 1/30  loss [\d.]+  bpd [\d.]+  elbo -[\d.]+", said[2])
    assert re.fullmatch(r"step 7  validation: loss [\d.]+  fid [\d.]+  bpd [\d.]+", said[3])
    assert re.fullmatch(r"done: 30 steps in [\d.]+ s; best val/loss [\d.]+ at step 28", said[4])


def test_a_line_has_rate_and_time_left(words: list[Any], lightning: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TrainingProgress.__init__, "__defaults__", (0.25, 0.0, 0.0))
    said = [line for line in lightning(*words).err.splitlines() if line.startswith("step ")]
    steps = [line for line in said if "validation" not in line]
    assert [int(re.match(r"step (\d+)/30", line)[1]) for line in steps] == list(range(1, 31))
    assert all(re.search(r"[\d.]+ (steps/s|s/step)  \d+:\d\d left  loss", line) for line in steps[1:])
    validations = [line for line in said if "validation" in line]
    assert [int(line.split()[1]) for line in validations] == [7, 14, 21, 28]


def test_no_bar_where_none_is_wanted(words: list[Any], lightning: Any):
    said = lightning(*words, "--trainer.enable_progress_bar=false").err.splitlines()
    assert [line.split()[0] for line in said] == ["run:", "done:", "lightning", "lightning"]


def test_a_bar_on_a_terminal(words: list[Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    ended = forked.lightning(*words, terminal=True)
    assert ended.status == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", ended.err)
    assert re.search(r"training ━+.* \d+/30 [\d.]+ steps/s \d:\d\d:\d\d \d+:\d\d left loss", text)
    assert re.search(r"training ━+ 30/30 ", text)
    assert "validation: loss" in text
    assert "done: 30 steps" in text
