import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.run_folders import MODELS, make_checkpoint, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of every tiny model."""
    root = tmp_path_factory.mktemp("runs")
    return {name: make_checkpoint(make_run(root / name / "1"), name) for name in MODELS}


@pytest.mark.parametrize("model", ["diffusion", "gan", "vae"])
def test_archive_of_images(runs, lightning, tmp_path, model):
    out = tmp_path / "samples.npz"
    done = lightning("sample", "--ckpt", runs[model], "--num", 12, "--out", out)
    assert done.status == 0, done.err
    assert "12 samples written to" in done.out
    data = np.load(out)
    assert data["image"].shape == (12, 1, 8, 8)
    assert data["image"].dtype == np.float32
    assert np.abs(data["image"]).max() <= 1
    assert data["image"].std(0).max() > 0.01, "samples differ from each other"
    if model == "vae":
        assert "label" not in data
    else:
        assert data["label"].tolist() == [*range(10), 0, 1]
    about = json.loads(str(data["about"]))
    assert (about["weights"], about["step"], about["seed"]) == ("ema 0.9", 7, 0)


def test_samples_that_are_no_numbers_are_no_result(lightning, tmp_path):
    run = make_checkpoint(make_run(tmp_path / "a"), "diffusion")
    checkpoint = torch.load(path := run / "checkpoints" / "last.ckpt", weights_only=False)
    for weights in (checkpoint["state_dict"], *checkpoint["ema"].values()):
        weights.update({name: torch.full_like(x, torch.nan) for name, x in weights.items()})
    torch.save(checkpoint, path)
    done = lightning("sample", "--ckpt", run, "--num", 12)
    assert done.status == 1
    assert "12 of samples 0 to 11 are not finite" in done.err
    assert not list(run.rglob("seed*.png"))


def test_sample_depends_on_seed_and_number_alone(runs, lightning, tmp_path):
    def images(*words):
        assert (
            lightning("sample", "--ckpt", runs["diffusion"], "--out", tmp_path / "s.npz", *words).status == 0
        )
        return np.load(tmp_path / "s.npz")["image"]

    whole = images("--num", 12)
    np.testing.assert_allclose(images("--num", 12, "--batch_size", 5), whole, atol=1e-5)
    np.testing.assert_allclose(images("--num", 4), whole[:4], atol=1e-5)
    assert np.abs(images("--num", 12, "--seed", 1) - whole).max() > 0.1
    threes = images("--num", 12, "--label", 3)
    np.testing.assert_allclose(threes[3], whole[3], atol=1e-5)
    assert np.abs(threes[4] - whole[4]).max() > 1e-4
    raw, other = images("--num", 12, "--weights", "raw"), images("--num", 12, "--weights", "0.99")
    assert len({images.tobytes() for images in (raw, other, whole)}) == 3


def test_grid_goes_into_the_run_unless_asked_elsewhere(runs, lightning, tmp_path):
    done = lightning("sample", "--ckpt", runs["gan"], "--num", 20)
    path = Path(done.out.split("written to ")[1].strip())
    assert path == runs["gan"] / "samples" / "seed0_step00000007.png"
    image = Image.open(path)
    assert image.width > 2 * image.height, "two rows of ten classes"
    lightning(
        "sample",
        "--ckpt",
        runs["gan"] / "checkpoints" / "last.ckpt",
        "--num",
        20,
        "--out",
        tmp_path / "g.png",
    )
    assert Image.open(tmp_path / "g.png").tobytes() == image.tobytes()


def test_checkpoint_alone_is_enough(runs, lightning, tmp_path, monkeypatch):
    (tmp_path / "alone.ckpt").write_bytes((runs["gan"] / "checkpoints" / "last.ckpt").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert lightning("sample", "--ckpt", "alone.ckpt", "--num", 4).status == 0
    assert Image.open("samples.png").size[0] > 0


def test_folder_holds_one_picture_per_sample(runs, lightning, tmp_path):
    out = tmp_path / "deep" / "folder"
    assert lightning("sample", "--ckpt", runs["gan"], "--num", 5, "--batch_size", 2, "--out", out).status == 0
    names = sorted(path.name for path in out.glob("*.png"))
    assert names == [f"{i:06d}_class{i}.png" for i in range(5)]
    assert Image.open(out / names[0]).size == (8, 8)
    assert json.loads((out / "about.json").read_text())["weights"] == "ema 0.9"
    again = lightning("sample", "--ckpt", runs["gan"], "--num", 3, "--out", out)
    assert again.status == 2
    assert f"out: got {str(out)!r}, expected a new or an empty folder" in again.error
    assert sorted(path.name for path in out.glob("*.png")) == names


def test_points_in_the_plane(runs, lightning, tmp_path):
    assert lightning("sample", "--ckpt", runs["plane"], "--num", 50, "--out", tmp_path / "p.npz").status == 0
    data = np.load(tmp_path / "p.npz")
    assert data["vector"].shape == (50, 2)
    assert "label" not in data
    assert lightning("sample", "--ckpt", runs["plane"], "--num", 50, "--out", tmp_path / "p.png").status == 0
    assert Image.open(tmp_path / "p.png").size[0] > 100


@pytest.mark.parametrize(
    ("model", "words", "line"),
    [
        ("gan", ["--num", "0"], "num: got 0, expected at least 1"),
        ("gan", ["--batch_size", "0"], "batch_size: got 0"),
        ("gan", ["--label", "10"], "label: got 10, expected 0 to 9"),
        ("gan", ["--label", "-1"], "label: got -1, expected 0 to 9"),
        ("vae", ["--label", "3"], "label: got 3, expected none: this VAE is unconditional"),
        ("gan", ["--out", "x.jpg"], "out: got 'x.jpg', expected FILE.png, FILE.npz or a folder"),
        ("gan", ["--out", "/dev/null/x.png"], "out: got '/dev/null/x.png', expected a writable place"),
        ("gan", ["--device", "cuda:99"], "device: got 'cuda:99', expected a device of this machine"),
        ("gan", ["--weights", "0.5"], "weights: got '0.5', expected one of raw, 0.9, 0.99"),
        ("mute", [], "ckpt: got 'GenerativeModel', expected a family that can sample"),
        ("plane", ["--out", "points"], "out: got 'points', expected FILE.npz"),
    ],
)
def test_mistakes_get_one_line(runs, lightning, tmp_path, monkeypatch, model, words, line):
    monkeypatch.chdir(tmp_path)
    done = lightning("sample", "--ckpt", runs[model], *words)
    assert done.status == 2
    assert done.error.startswith(f"error: {line}")
    assert list(tmp_path.iterdir()) == []
