"""What `lightning sample` makes of a model's latents of given images."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from genlab.experiments.loading import load_checkpoint
from tests.run_folders import make_checkpoint, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny random VAE of digits, a diffusion model and a GAN."""
    root = tmp_path_factory.mktemp("runs")
    return {
        name: make_checkpoint(make_run(root / name / "1"), name)
        for name in ("vae", "plane", "diffusion", "gan")
    }


@pytest.fixture(scope="module")
def vae(runs):
    return load_checkpoint(runs["vae"]).model


@pytest.fixture
def images(tmp_path):
    """Three images with their classes."""
    levels = np.random.default_rng(0).integers(0, 17, (3, 1, 8, 8))
    x = ((2 * levels + 1) / 17 - 1).astype(np.float32)
    np.savez(tmp_path / "in.npz", image=x, label=np.array([3, 1, 4]))
    return tmp_path / "in.npz"


def made(lightning, out, *words):
    done = lightning("sample", *words, "--out", out)
    assert done.status == 0, done.err
    data = np.load(out)
    return {name: data[name] for name in data if name != "about"}, json.loads(str(data["about"]))


def test_reconstructions_come_with_their_images_and_stand_under_them(runs, vae, lightning, tmp_path, images):
    words = ["--ckpt", runs["vae"], "--reconstruct", images]
    found, about = made(lightning, tmp_path / "out.npz", *words)
    x = torch.from_numpy(np.load(images)["image"])
    with torch.no_grad():
        np.testing.assert_allclose(found["image"], vae.reconstruct(x), atol=1e-5)
    np.testing.assert_array_equal(found["original"], x)
    assert about["edit"] == "reconstruct"
    done = lightning("sample", *words)
    assert done.status == 0, done.err
    grid = Image.open(runs["vae"] / "samples" / "reconstruct_seed0_step00000007.png")
    assert grid.size == (3 * 49 + 1, 2 * 49 + 1)
    level = ((np.load(images)["image"][1, 0] + 1) * 17 - 1) / 2
    assert grid.getpixel((1 + 49 + 3, 1 + 3)) == round(level[0, 0] * 255 / 16)


def test_interpolations_go_from_one_reconstruction_to_the_other(runs, vae, lightning, tmp_path, images):
    x = np.load(images)["image"]
    np.savez(tmp_path / "other.npz", image=x[::-1])
    words = ["--ckpt", runs["vae"], "--interpolate", images, tmp_path / "other.npz", "--num", 5]
    found, about = made(lightning, tmp_path / "out.npz", *words)
    again, _ = made(lightning, tmp_path / "out.npz", *words, "--batch_size", 4)
    np.testing.assert_allclose(again["image"], found["image"], atol=1e-5)
    way = found["image"].reshape(3, 5, 1, 8, 8)
    with torch.no_grad():
        ends = vae.reconstruct(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(way[:, 0], ends, atol=1e-5)
    np.testing.assert_allclose(way[:, -1], ends[::-1], atol=1e-5)
    assert about["interpolation"] == "spherical"


def test_traversals_move_one_latent_at_a_time(runs, vae, lightning, tmp_path, images):
    words = ["--ckpt", runs["vae"], "--traverse", images, "--num", 3]
    found, about = made(lightning, tmp_path / "out.npz", *words)
    x = torch.from_numpy(np.load(images)["image"])
    way = found["image"].reshape(3, 10, 3, 1, 8, 8)
    with torch.no_grad():
        kl = vae.kl_per_dimension(x).mean(0)
        z = vae.encode(x)[2]
        z[about["dims"][4]] = 2.0
        np.testing.assert_allclose(way[2, 4, 2], vae.decode(z[None])[0], atol=1e-5)
    assert about["dims"] == kl.argsort(descending=True)[:10].tolist()
    assert about["carried"] == sorted(about["carried"], reverse=True)
    assert about["unit"] == "nats"


def test_draws_of_the_posterior_are_numbered(runs, lightning, tmp_path, images):
    words = ["--ckpt", runs["vae"], "--posterior", images, "--num", 4]
    found, _ = made(lightning, tmp_path / "out.npz", *words)
    again, _ = made(lightning, tmp_path / "out.npz", *words, "--batch_size", 5)
    np.testing.assert_allclose(again["image"], found["image"], atol=1e-5)
    other, _ = made(lightning, tmp_path / "out.npz", *words, "--seed", 1)
    assert np.abs(other["image"] - found["image"]).max() > 1e-3
    assert len(found["image"]) == 12


def test_a_diffusion_model_reconstructs_by_inversion(runs, lightning, tmp_path):
    points = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    np.savez(tmp_path / "in.npz", vector=points)
    found, about = made(
        lightning, tmp_path / "out.npz", "--ckpt", runs["plane"], "--reconstruct", tmp_path / "in.npz"
    )
    np.testing.assert_allclose(found["vector"], points, atol=5e-3)
    np.testing.assert_array_equal(found["original"], points)
    assert about["edit"] == "reconstruct"


@pytest.mark.parametrize(
    ("model", "words", "line"),
    [
        ("gan", ["--reconstruct", "in.npz"], "ckpt: got 'GAN', expected a model that has CanReconstruct or a denoiser"),
        ("diffusion", ["--traverse", "in.npz"], "ckpt: got 'Diffusion', expected a model that has CanEncode"),
        ("vae", ["--traverse", "in.npz", "--reconstruct", "in.npz"], "edit: got '--reconstruct and --traverse'"),
        ("vae", ["--traverse", "in.npz", "--num", "1"], "num: got 1, expected at least 2"),
        ("vae", ["--traverse", "in.npz", "--label", "1"], "label: got 1, expected none with --traverse"),
        ("vae", ["--reconstruct", "val"], "reconstruct: got 'val', expected a file: this model's data are unknown"),
        ("vae", ["--reconstruct", "there.npz"], "reconstruct: got 'there.npz', expected a file of images"),
        ("vae", ["--reconstruct", "in.npz", "--strength", "1"], "strength: got 1.0, expected it with --from"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line(runs, lightning, tmp_path, images, monkeypatch, model, words, line):
    monkeypatch.chdir(tmp_path)
    done = lightning("sample", "--ckpt", runs[model], *words)
    assert done.status == 2
    assert done.error.startswith(f"error: {line}")
