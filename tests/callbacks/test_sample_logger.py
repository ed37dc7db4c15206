"""SampleLogger: what it writes, that equal seeds give equal pictures, and that training does not notice."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers.logger import DummyLogger
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader

from genlab.callbacks import Ema, SampleLogger
from genlab.callbacks.grids import columns_by_class, even_labels, image_grid, save_png, to_pixels
from genlab.callbacks.inference import inference
from genlab.callbacks.plots import scatter
from genlab.core import DataSpec, ModalitySpec, UserError, WorkError

IMAGES = DataSpec(
    "tiny", {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=5)}
)
POINTS = DataSpec("plane", {"vector": ModalitySpec((2,))})


class Data(pl.LightningDataModule):
    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        x = torch.randn(32, *spec.shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
        self.whole = {spec.data: x} | ({"label": torch.arange(32) % 5} if spec.num_classes else {})

    def batches(self, split, *, batch_size=256, num=None):
        assert split == "val"
        yield {k: v[: min(num, batch_size)] for k, v in self.whole.items()}

    def train_dataloader(self):
        rows = [{k: v[i] for k, v in self.whole.items()} for i in range(32)]
        return DataLoader(rows, batch_size=4)


class Model(pl.LightningModule):
    """Brightness by class, latents as noise, and dropout that training's random numbers go to."""

    conditional = True
    needed_conditions = ()

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.scale = nn.Parameter(torch.ones(spec.shape))
        self.drop, self.frozen = nn.Dropout(0.5), nn.Dropout(0.5)
        self.asked = []

    def training_step(self, batch, batch_idx):
        self.frozen.eval()
        return (self.drop(batch[self.spec.data]) - self.scale).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def sample(self, num_samples, *, condition=None, rng):
        assert not self.training
        torch.rand(3)  # must not be seen by training
        self.asked.append(condition)
        x = self.scale * rng.normal(self.spec.shape)
        return x if condition is None else x * 0.1 + condition.label.view(-1, 1, 1, 1) / 5

    def sampling_protocol(self):
        return {"nfe": 1}

    def sample_path(self, num_samples, *, condition=None, rng, num_frames=16):
        x = self.sample(num_samples, condition=condition, rng=rng)
        return torch.stack([x * (i + 1) / num_frames for i in range(num_frames)])

    def reconstruct(self, x):
        return x * self.scale


class Pictures(DummyLogger):
    """A logger that takes images and videos."""

    def __init__(self):
        super().__init__()
        self.images, self.videos = [], []

    def log_image(self, key, images, step=None, caption=None):
        self.images.append((key, step, caption[0], images[0].size))

    def log_video(self, key, videos, step=None, format=None, caption=None):
        self.videos.append((key, step))


def fit(path, spec, *callbacks, seed=1, max_steps=6, loggers=()):
    torch.manual_seed(seed)
    model = Model(spec)
    trainer = pl.Trainer(
        max_steps=max_steps, accelerator="cpu", callbacks=list(callbacks), default_root_dir=path, logger=list(loggers),
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(model, datamodule=Data(spec))
    return model


def test_writes_grids_reconstructions_and_animations(tmp_path):
    pictures = Pictures()
    model = fit(tmp_path, IMAGES, SampleLogger(4, num=22, num_frames=3), loggers=[DummyLogger(), pictures])
    folder = tmp_path / "samples"
    steps = [f"step_{step:08d}.png" for step in (0, 4, 6)]
    others = ["history.gif", "latest.png", "path.gif", "reconstructions.png"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(steps + others)
    assert (folder / "latest.png").read_bytes() == (folder / steps[-1]).read_bytes()
    assert Image.open(folder / steps[0]).size == (5 * 49 + 1, 4 * 49 + 1)  # a column per class, whole rows
    assert Image.open(folder / "reconstructions.png").size == (8 * 49 + 1, 4 * 49 + 1)
    assert Image.open(folder / "history.gif").n_frames == 3
    assert Image.open(folder / "path.gif").n_frames == 3
    grids = [entry for entry in pictures.images if entry[0] == "samples/grid"]
    assert [entry[1:3] for entry in grids] == [(0, "step 0"), (4, "step 4"), (6, "step 6")]
    assert len(pictures.images) == 6
    assert pictures.videos == [("samples/path", 6), ("samples/history", 6)]
    assert model.asked[0].label.tolist() == [0, 1, 2, 3, 4] * 4


def test_equal_seeds_give_equal_bytes_and_the_latents_never_change(tmp_path):
    for name in ("a", "b"):
        fit(tmp_path / name, IMAGES, SampleLogger(3, num=10, num_frames=0))
    for path in (tmp_path / "a" / "samples").glob("*"):
        assert path.read_bytes() == (tmp_path / "b" / "samples" / path.name).read_bytes(), path.name
    fit(tmp_path / "c", IMAGES, SampleLogger(3, num=10, seed=1))
    first = [(tmp_path / name / "samples" / "step_00000000.png").read_bytes() for name in "ac"]
    assert first[0] != first[1]


def test_training_does_not_notice(tmp_path):
    with_samples = fit(tmp_path, IMAGES, SampleLogger(2))
    without = fit(tmp_path, IMAGES)
    assert torch.equal(with_samples.scale, without.scale)
    assert with_samples.training
    assert not with_samples.frozen.training


def test_uses_averaged_weights(tmp_path):
    seen = []

    class Watched(Model):
        def sample(self, *args, **kwargs):
            seen.append(self.scale.detach().clone())
            return super().sample(*args, **kwargs)

    ema, model = Ema([0.5], ramp_up=False), Watched(IMAGES)
    trainer = pl.Trainer(max_steps=4, accelerator="cpu", callbacks=[ema, SampleLogger(4, num_frames=0)], logger=False,
                         default_root_dir=tmp_path, enable_progress_bar=False, enable_checkpointing=False)  # fmt: skip
    trainer.fit(model, datamodule=Data(IMAGES))
    assert torch.equal(seen[-1], ema.averages["0.5"]["scale"])
    assert not torch.equal(seen[-1], model.scale)


def test_an_error_in_sampling_leaves_the_model_as_it_was():
    model = Model(IMAGES).train()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    model.frozen.eval()
    with pytest.raises(KeyError), inference(trainer, model):
        raise KeyError
    assert model.training
    assert not model.frozen.training


def test_points_become_scatter_plots(tmp_path):
    fit(tmp_path, POINTS, SampleLogger(6, num=4, num_frames=2))
    picture = Image.open(tmp_path / "samples" / "latest.png")
    assert picture.size == (512, 512)
    assert len(picture.getcolors(1 << 20)) > 10
    points = torch.randn(50, 2)
    assert scatter(points).tobytes() == scatter(points).tobytes()


def test_data_that_cannot_be_drawn_and_families_that_cannot_sample_are_skipped(tmp_path):
    spec = DataSpec("space", {"vector": ModalitySpec((3,))})
    model = fit(tmp_path, spec, SampleLogger(2))
    assert model.asked == []
    fit(tmp_path, IMAGES, SampleLogger(0))
    assert not (tmp_path / "samples").exists()


def test_grid_is_pixel_exact(tmp_path):
    spec = ModalitySpec((1, 8, 8), num_levels=17)
    levels = torch.arange(3 * 64).reshape(3, 1, 8, 8) % 17
    assert (to_pixels(spec.values(levels), spec) == (levels[:, 0] * 255 / 16).round().numpy()).all()
    grid = image_grid(spec.values(levels), spec, columns=2)
    assert grid.size == (2 * 49 + 1, 2 * 49 + 1)
    for i, (left, top) in enumerate([(1, 1), (50, 1), (1, 50)]):
        tile = torch.tensor(list(grid.crop((left, top, left + 48, top + 48)).getdata())).view(48, 48)[
            ::6, ::6
        ]
        assert (tile == (levels[i, 0] * 255 / 16).round()).all()
    save_png(grid, tmp_path / "a.png")
    save_png(grid, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    colour = image_grid(
        torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64), ModalitySpec((3, 64, 64))
    )
    assert colour.getpixel((30, 30)) == (255, 0, 0)


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "samples").write_text("a file where a folder should be")
    with pytest.raises(WorkError, match=r"samples: could not write .*step_00000000.png"):
        fit(tmp_path, IMAGES, SampleLogger(2))


def test_columns_and_labels():
    assert columns_by_class(9, 10) == 3  # too few for a column per class
    assert even_labels(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(UserError, match="2 channels"):
        image_grid(torch.zeros(1, 2, 8, 8), ModalitySpec((2, 8, 8)))


@pytest.mark.parametrize("bad", [{"every_n_steps": -1}, {"num": 0}, {"num_frames": -2}])
def test_bad_arguments_are_named(bad):
    with pytest.raises(UserError, match=f"samples.{next(iter(bad))}: got"):
        SampleLogger(**bad)
