"""Editing through `lightning sample`."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.run_folders import make_checkpoint, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny random diffusion model of digits, one of points, and a VAE."""
    root = tmp_path_factory.mktemp("runs")
    return {
        name: make_checkpoint(make_run(root / name / "1"), name)
        for name in ("diffusion", "coupled", "plane", "vae")
    }


@pytest.fixture
def images(tmp_path):
    """Three images with their classes."""
    levels = np.random.default_rng(0).integers(0, 17, (3, 1, 8, 8))
    x = ((2 * levels + 1) / 17 - 1).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=x, label=np.array([3, 1, 4]))
    return tmp_path / "in.npz"


def edited(lightning, out, *words):
    done = lightning("sample", *words, "--out", out)
    assert done.status == 0, done.err
    data = np.load(out)
    return data["image"], data["label"], json.loads(str(data["about"]))


def test_inpainting_keeps_what_is_known(runs, lightning, tmp_path, images):
    words = ["--ckpt", runs["diffusion"], "--inpaint", images, "--resamples", 2, "--steps", 4]
    x, labels, about = edited(lightning, tmp_path / "out.npz", *words, "--mask", "lower")
    source = np.load(images)["image"]
    np.testing.assert_allclose(x[:, :, :4], source[:, :, :4], atol=1e-6)
    assert np.abs(x[:, :, 4:] - source[:, :, 4:]).max() > 0.1
    assert labels.tolist() == [3, 1, 4]
    assert (about["edit"], about["resamples"], about["sampler"]["num_steps"]) == ("inpaint", 2, 4)
    again, _, _ = edited(lightning, tmp_path / "out.npz", *words, "--mask", "lower", "--batch_size", 2)
    np.testing.assert_allclose(again, x, atol=1e-5)
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[4:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    painted, _, _ = edited(lightning, tmp_path / "out.npz", *words, "--mask", tmp_path / "mask.png")
    np.testing.assert_allclose(painted, x, atol=1e-6)


def test_image_to_image_by_strength(runs, lightning, tmp_path, images):
    def distance(strength):
        words = ["--ckpt", runs["diffusion"], "--from", images, "--num", 6, "--strength", strength]
        x, labels, about = edited(lightning, tmp_path / "out.npz", *words)
        assert labels.tolist() == [3, 1, 4, 3, 1, 4]
        assert about["strength"] == strength
        return np.abs(x - np.load(images)["image"][[0, 1, 2, 0, 1, 2]]).mean()

    assert distance(0.0) == 0
    assert 0 < distance(0.2) < distance(0.7)


def test_inversion_and_interpolation(runs, lightning, tmp_path):
    points = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    np.savez(tmp_path / "in.npz", vector=points)
    np.savez(tmp_path / "other.npz", vector=points[::-1])
    out = tmp_path / "out.npz"
    assert (
        lightning("sample", "--ckpt", runs["plane"], "--invert", tmp_path / "in.npz", "--out", out).status
        == 0
    )
    np.testing.assert_allclose(np.load(out)["vector"], points, atol=5e-3)
    words = ["--interpolate", tmp_path / "in.npz", tmp_path / "other.npz", "--num", 3, "--batch_size", 4]
    assert lightning("sample", "--ckpt", runs["plane"], *words, "--out", out).status == 0
    between = np.load(out)["vector"]
    assert between.shape == (9, 2)
    np.testing.assert_allclose(between[[0, 2, 6, 8]], points[[0, 2, 2, 0]], atol=5e-3)
    np.testing.assert_allclose(between[3:6], points[[1, 1, 1]], atol=5e-3)


def test_a_way_between_classes_is_in_neither(runs, lightning, tmp_path, images):
    same = np.load(images)
    np.savez(tmp_path / "other.npz", image=same["image"][::-1], label=same["label"][::-1])
    for other, labels in ((images, [3, 3, 1, 1, 4, 4]), (tmp_path / "other.npz", None)):
        words = ["--ckpt", runs["diffusion"], "--interpolate", images, other, "--num", 2]
        assert lightning("sample", *words, "--out", tmp_path / "out.npz").status == 0
        found = np.load(tmp_path / "out.npz")
        assert (found["label"].tolist() if "label" in found else None) == labels


def test_a_picture_goes_in_and_a_grid_comes_out_in_the_run(runs, lightning, tmp_path):
    out = tmp_path / "pictures"
    assert lightning("sample", "--ckpt", runs["diffusion"], "--num", 2, "--out", out).status == 0
    source = next(out.glob("*.png"))
    done = lightning("sample", "--ckpt", runs["diffusion"], "--from", source, "--label", 7, "--strength", 0)
    assert done.status == 0, done.err
    assert (runs["diffusion"] / "samples" / "from_seed0_label7_step00000007.png").is_file()
    same = [
        "sample",
        "--ckpt",
        runs["diffusion"],
        "--from",
        source,
        "--strength",
        0,
        "--out",
        tmp_path / "same",
    ]
    (tmp_path / "same").mkdir()
    assert lightning(*same).status == 0
    assert Image.open(next((tmp_path / "same").glob("*.png"))).tobytes() == Image.open(source).tobytes()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--inpaint", "in.npz"], "mask: got None, expected what --inpaint fills in; pass --mask lower"),
        (
            ["--inpaint", "in.npz", "--mask", "middle"],
            "mask: got 'middle', expected a picture or one of lower",
        ),
        (["--inpaint", "in.npz", "--mask", "lower", "--resamples", "0"], "resamples: got 0"),
        (["--inpaint", "in.npz", "--mask", "lower", "--steps", "0"], "steps: got 0"),
        (
            ["--inpaint", "in.npz", "--mask", "lower", "--steps", "2", "--from", "in.npz"],
            "edit: got '--inpaint and",
        ),
        (["--mask", "lower"], "mask: got 'lower', expected it with --inpaint; add that"),
        (["--steps", "5"], "steps: got 5, expected it with --inpaint or --from"),
        (["--from", "in.npz", "--strength", "1.5"], "strength: got 1.5, expected a number in [0, 1]"),
        (["--from", "there.npz"], "from: got 'there.npz', expected a file of images"),
        (["--from", "text.npz"], "from: got 'text.npz', expected a file of images"),
        (["--from", "wide.npz"], "from: got (2, 1, 8, 9), expected shape (N, 1, 8, 8), the model's"),
        (["--from", "loud.npz"], "from: got 'loud.npz', expected values in [-1, 1]"),
        (
            ["--from", "vectors.npz"],
            "from: got 'vectors.npz', expected an archive with 'image'; it has vector",
        ),
        (["--from", "wide.png"], "from: got (8, 9), expected a picture of 8 x 8 pixels"),
        (["--from", "classes.npz"], "label: got [3, 12], expected 0 to 9"),
        (["--interpolate", "in.npz", "two.npz"], "interpolate: got (3, 2), expected as many images in both"),
        (["--interpolate", "in.npz", "in.npz", "--num", "1"], "num: got 1, expected at least 2"),
        (["--from", "in.npz", "--shard_size", "5"], "shard_size: got 5, expected none in editing"),
    ],
)
def test_mistakes_get_one_line(runs, lightning, tmp_path, images, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    x = np.load(images)["image"]
    np.savez("two.npz", image=x[:2])
    np.savez("wide.npz", image=np.zeros((2, 1, 8, 9), dtype=np.float32))
    np.savez("loud.npz", image=5 * x)
    np.savez("vectors.npz", vector=x)
    np.savez("classes.npz", image=x[:2], label=np.array([3, 12]))
    (tmp_path / "text.npz").write_text("no archive")
    Image.new("L", (9, 8)).save("wide.png")
    done = lightning("sample", "--ckpt", runs["diffusion"], *words)
    assert done.status == 2
    assert done.error.startswith(f"error: {line}")


def test_models_without_a_denoiser_do_not_edit(runs, lightning, images):
    for words in (["--from", images], ["--inpaint", "nowhere.npz", "--mask", "lower"]):
        done = lightning("sample", "--ckpt", runs["vae"], *words)
        line = (
            "error: ckpt: got 'VAE', expected a diffusion model of the data or of their latents, or a cascade"
        )
        assert done.error.startswith(line)


def test_a_model_of_coupled_noise_is_edited_by_its_flow_alone(runs, lightning, tmp_path, images):
    sample = ["sample", "--ckpt", runs["coupled"], "--out", tmp_path / "out.npz"]
    done = lightning(*sample, "--inpaint", images, "--mask", "lower")
    assert done.error.startswith("error: inpaint: got 'Diffusion', expected a model with a score")
    assert lightning(*sample, "--from", images).status == 0


def test_a_weaker_model_guides(runs, lightning, tmp_path):
    def images(*words):
        out = tmp_path / "out.npz"
        done = lightning("sample", "--ckpt", runs["diffusion"], "--num", 4, "--out", out, *words)
        assert done.status == 0, done.err
        return np.load(out)["image"], json.loads(str(np.load(out)["about"]))["sampler"]

    last = runs["diffusion"] / "checkpoints" / "last.ckpt"
    plain, _ = images()
    same, sampler = images("--weaker", last, "--weaker-scale", 2)
    np.testing.assert_allclose(same, plain, atol=1e-4)  # a model is not better than itself
    assert (sampler["guidance"][0]["guidance"], sampler["nfe"]) == ("autoguidance", 6)
    done = lightning("sample", "--ckpt", runs["diffusion"], "--weaker", runs["plane"])
    assert done.error.startswith("error: weaker: got 'a model of eight_gaussians (2,)")
    assert lightning("sample", "--ckpt", runs["diffusion"], "--weaker", runs["vae"]).status == 2
