"""Views of latents and tokens: what stands at which pixel, who gets which, when they are drawn."""

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from genlab.callbacks import Ema, SampleLogger
from genlab.callbacks.grids import over
from genlab.callbacks.views import VIEWS, Scene, choose_views, known_views
from genlab.callbacks.views.aggregate import Plane, draw
from genlab.callbacks.views.codebook import counts_of, map_image, middle_patch
from genlab.callbacks.views.colours import colour_tokens, token_colours
from genlab.core import Codebooks, UserError
from tests.latent_models import IMAGES, Linear, Tokenizer, images

TILE = 49  # pixels from one tile to the next: 8 pixels six times, and a gap


def scene(model, num=40):
    return Scene(model, images(num), torch.arange(num) % 5, seed=0)


def tile(image, row, column, left=0):
    """The 8x8 pixels of a tile, grey or red, green and blue."""
    x, y = left + 1 + column * TILE, 1 + row * TILE
    box = image.crop((x, y, x + 48, y + 48))
    return torch.tensor(list(box.getdata())).view(48, 48, -1)[3::6, 3::6].squeeze(-1)


def grey(x):
    return (IMAGES["image"].levels(x) * 255 / 16).round()


def close(pixels, x):
    """Whether pixels show an image (1, 8, 8), which may be between levels or out of range."""
    shown = (((x[0] + 1) * 17 - 1) / 32).clamp(0, 1) * 255
    return (pixels - shown).abs().max() <= 1


def look(name, model, **settings):
    with torch.no_grad():
        return VIEWS[name].look(scene(model, **settings)).draw()


def test_traversals_have_the_latent_of_largest_kl_on_top_and_the_image_kept_in_all_else():
    model, x = Linear(), images(1)
    image = look("traversals", model)
    assert image.size == (9 * TILE + 1, 4 * TILE + 1)
    z = model.encode(x).detach()
    axes = scene(model).axes
    for row, d in enumerate([3, 0, 2, 1]):
        for column in (0, 4, 8):
            moved = z.clone()
            moved[0, d] = axes.centre[d] + (column - 4) / 2 * axes.scale[d]
            assert close(tile(image, row, column), model.decode(moved)[0].detach()), (row, column)


def test_interpolations_begin_and_end_at_reconstructions():
    model, x = Linear(), images(12)
    image = look("interpolations", model)
    y = model.reconstruct(x).detach()
    for row in range(6):
        assert close(tile(image, row, 0), y[2 * row])
        assert close(tile(image, row, 8), y[2 * row + 1])
        assert close(tile(image, row, 4), (y[2 * row] + y[2 * row + 1]) / 2)


def test_the_prior_stands_beside_images_over_reconstructions():
    model, x = Linear(), images(16)
    image = look("prior", model)
    drawn = model.decode(model.sample_latents(scene(model).streams(32))).detach()
    right = 8 * TILE + 1 + 12
    assert image.size == (right + 8 * TILE + 1, 4 * TILE + 1)
    assert (tile(image, 0, 3) == grey(x[3, 0])).all()
    assert close(tile(image, 1, 3), model.reconstruct(x)[3].detach())
    assert (tile(image, 2, 7) == grey(x[15, 0])).all()
    assert close(tile(image, 3, 2, left=right), drawn[26])


def test_posterior_draws_stand_behind_their_image():
    model, x = Linear(), images(6)
    image = look("posterior", model)
    assert (tile(image, 2, 0) == grey(x[2, 0])).all()
    assert close(tile(image, 2, 1), model.reconstruct(x)[2].detach())
    draws = [tile(image, 2, column) for column in range(2, 9)]
    assert len({tuple(d.flatten().tolist()) for d in draws}) == 7


def test_the_plane_is_where_the_points_are_widest():
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(10, 2, dtype=torch.float64))[0]
    truth = torch.randn(500, 2, dtype=torch.float64) * torch.tensor([5.0, 2.0])
    z = truth @ basis.T + 3 + 0.01 * torch.randn(500, 10, dtype=torch.float64)
    plane = Plane.of(z)
    torch.testing.assert_close((plane.axes @ basis).abs(), torch.eye(2).double(), atol=0.1, rtol=0)
    assert plane.share > 0.999
    torch.testing.assert_close(torch.pdist(plane.project(z)), torch.pdist(truth), atol=0.2, rtol=0)


def test_the_normal_prior_is_two_circles_of_one_and_two_deviations():
    corners = torch.tensor([[3.0, 3.0], [-3.0, -3.0], [3.0, -3.0], [-3.0, 3.0]])
    with_circles = draw(corners, None, None, torch.tensor([0.5, 0.0]))
    without = draw(corners, None, None, None)
    blue = torch.tensor(np.asarray(without)).int()
    y, x = ((blue - torch.tensor([31, 119, 180])).abs().sum(-1) < 30).nonzero().double().unbind(1)
    # The dots, five pixels wide, tell where -3 and 3 are.
    left, right, low, high = x.min() + 2, x.max() - 2, y.max() - 2, y.min() + 2
    changed = (np.asarray(with_circles).astype(int) - np.asarray(without)).min(-1) < -150
    y, x = torch.tensor(changed).nonzero().double().unbind(1)
    across, up = (6 * (x - left) / (right - left) - 3 - 0.5), 6 * (y - low) / (high - low) - 3
    radius = (across.square() + up.square()).sqrt()
    assert len(radius) > 200
    assert ((radius - 1).abs().minimum((radius - 2).abs()) < 0.07).all()
    assert 0.2 < (radius < 1.5).double().mean() < 0.5


def test_the_aggregate_posterior_is_never_drawn_of_what_is_not_finite():
    model = Linear()
    image = look("aggregate", model)
    assert image.size == (512, 512)
    assert len(image.getcolors(1 << 18)) > 20
    model.normal_prior = True
    assert look("aggregate", model).tobytes() != image.tobytes()
    model.weight.data[0] = torch.nan
    with torch.no_grad():
        assert VIEWS["aggregate"].look(scene(model)) is None
        VIEWS["traversals"].look(scene(model)).draw()


def test_token_maps_read_back_to_tokens():
    model, x = Tokenizer(), images(8)
    image = look("tokens", model)
    assert image.size == (8 * TILE + 1, 3 * TILE + 1)
    tokens = model.tokenize(x)
    for column in range(8):
        colours = tile(image, 2, column)[::2, ::2].byte()
        assert (colour_tokens(colours) == tokens[column]).all()
        assert (tile(image, 0, column)[..., 0] == grey(x[column, 0])).all()
        assert (tile(image, 1, column)[..., 0] == grey(model.detokenize(tokens)[column, 0])).all()


def test_no_two_tokens_have_one_colour_and_maps_take_any_size():
    tokens = torch.arange(70_000)
    colours = token_colours(tokens)
    assert len(colours.unique(dim=0)) == len(tokens)
    assert colour_tokens(colours).equal(tokens)
    with pytest.raises(UserError, match="tokens: got"):
        token_colours(torch.tensor([-1]))
    seen = map_image(torch.tensor([[[0, 1, 2]]]), (2, 7))
    assert seen.shape == (1, 3, 2, 7)
    pixels = ((seen + 1) * 127.5).round().byte().movedim(1, -1)
    assert colour_tokens(pixels).tolist() == [[[0, 0, 0, 1, 1, 2, 2]] * 2]


def test_depths_have_a_map_each():
    class Residual(Tokenizer):
        codebooks = Codebooks(17, ((4, 4), (4, 4)))

        def tokenize(self, x):
            tokens = super().tokenize(x)
            return torch.stack([tokens, 16 - tokens], -1)

        def detokenize(self, tokens):
            return super().detokenize(tokens[..., 0])

    model, x = Residual(), images(8)
    image = look("tokens", model)
    assert image.height == 4 * TILE + 1
    second = colour_tokens(tile(image, 3, 5)[::2, ::2].byte())
    assert (second == 16 - Tokenizer().tokenize(x)[5]).all()
    assert VIEWS["codes"].look(scene(model)) is None
    first, second = counts_of(scene(model))
    assert first.sum() == 40 * 16
    assert torch.equal(second, first.flip(0))
    assert "use of 2 codebooks of 17 codes" in VIEWS["usage"].look(scene(model)).caption


def test_levels_have_a_map_each_on_their_own_grid():
    class Hierarchical(Tokenizer):
        codebooks = Codebooks(17, ((2, 2), (4, 4)))

        def tokenize(self, x):
            fine = super().tokenize(x)
            return torch.cat([16 - fine[:, ::2, ::2].flatten(1), fine.flatten(1)], 1)

        def detokenize(self, tokens):
            return super().detokenize(tokens[:, 4:].view(-1, 4, 4))

    image, fine = look("tokens", Hierarchical()), Tokenizer().tokenize(images(8))
    assert image.height == 4 * TILE + 1
    coarse = colour_tokens(tile(image, 2, 5)[::4, ::4].byte())
    assert (coarse == 16 - fine[5, ::2, ::2]).all()
    assert (colour_tokens(tile(image, 3, 5)[::2, ::2].byte()) == fine[5]).all()


def test_codes_are_patches_in_the_order_of_their_use():
    model = Tokenizer()
    counts = counts_of(scene(model))[0]
    assert counts.sum() == 40 * 16
    order = counts.argsort(descending=True, stable=True)
    image = look("codes", model)
    scale = 24 * 2 + 1
    for i in (0, 5, 16):
        x, y = 1 + i % 16 * scale, 1 + i // 16 * scale
        assert image.getpixel((x + 10, y + 40)) == round(int(order[i]) * 255 / 16)
    picture = VIEWS["usage"].look(scene(model))
    assert f"{(counts > 0).float().mean():.0%}" in picture.caption
    assert picture.draw().size == (512, 512)


def test_a_middle_patch():
    x = torch.arange(64.0).view(1, 1, 8, 8)
    assert middle_patch(x, (4, 4)).flatten().tolist() == [36, 37, 44, 45]
    assert middle_patch(x, (16, 1)).shape == (1, 1, 1, 8)


def test_rows_over_rows_are_filled_up():
    x = torch.ones(5, 1, 2, 2)
    rows = over(x, 0 * x, 3)
    assert rows[:, 0, 0, 0].tolist() == [1, 1, 1, 0, 0, 0, 1, 1, -1, 0, 0, -1]


def test_capabilities_choose():
    latents = ["prior", "posterior", "traversals", "interpolations", "aggregate"]
    assert choose_views("auto", Linear()) == latents
    assert choose_views("auto", Tokenizer()) == ["tokens", "codes", "usage"]
    assert choose_views("none", Linear()) == []
    assert choose_views(["aggregate"], Linear()) == ["aggregate"]
    with pytest.raises(
        UserError, match=r"samples\.views: got 'codes', expected a model that has CanTokenize; Linear"
    ):
        choose_views(["codes"], Linear())
    with pytest.raises(
        UserError, match=r"samples\.views: got 'sprawl', expected auto, none, or some of prior"
    ):
        known_views(["sprawl"])
    with pytest.raises(UserError, match=r"samples\.views_every: got -1"):
        SampleLogger(views_every=-1)


class Trained(pl.LightningModule, Linear):
    """The linear model, in training, whose views are watched."""

    def __init__(self):
        pl.LightningModule.__init__(self)
        Linear.__init__(self)
        self.seen = []

    def training_step(self, batch, batch_idx):
        x = batch["image"] + 0.1 * torch.randn_like(batch["image"])
        return (self.reconstruct(x) - batch["image"]).square().mean()

    def sample_latents(self, rng):
        torch.rand(3)  # must not be seen by training
        self.seen.append((self.trainer.global_step, self.weight.detach().clone()))
        return Linear.sample_latents(self, rng)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Data(pl.LightningDataModule):
    def batches(self, split, *, batch_size=256, num=None):
        assert split == "val"
        yield {"image": images(40)[:num], "label": torch.arange(40)[:num] % 5}

    def train_dataloader(self):
        return DataLoader([{"image": x} for x in images(32)], batch_size=4)


def fit(path, *callbacks, max_steps=7):
    torch.manual_seed(1)
    model = Trained()
    trainer = pl.Trainer(max_steps=max_steps, accelerator="cpu", callbacks=list(callbacks), default_root_dir=path,
                         logger=False, enable_progress_bar=False, enable_model_summary=False,
                         enable_checkpointing=False)  # fmt: skip
    trainer.fit(model, datamodule=Data())
    return model


def test_a_model_that_does_not_sample_is_viewed_now_and_then_by_its_averages_and_does_not_notice(tmp_path):
    ema = Ema([0.5], ramp_up=False)
    model = fit(tmp_path, ema, SampleLogger(2, views_every=2))
    steps = [step for step, _ in model.seen]
    assert sorted(set(steps)) == [4, 7]  # every second grid, and the end
    assert torch.equal(model.seen[-1][1], ema.averages["0.5"]["weight"])
    assert not torch.equal(model.seen[-1][1], model.weight)
    names = ["aggregate", "interpolations", "posterior", "prior", "reconstructions", "traversals"]
    assert sorted(p.stem for p in (tmp_path / "samples").iterdir()) == names
    without = fit(tmp_path / "without", SampleLogger(0))
    assert torch.equal(without.weight, model.weight)
    assert not (tmp_path / "without").exists()
    again = fit(tmp_path / "again", Ema([0.5], ramp_up=False), SampleLogger(7, views_every=0))
    assert {step for step, _ in again.seen} == {7}
    for name in names:
        pictures = [Image.open(root / "samples" / f"{name}.png") for root in (tmp_path, tmp_path / "again")]
        assert pictures[0].tobytes() == pictures[1].tobytes(), name


def test_only_the_first_rank_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(pl.Trainer, "is_global_zero", property(lambda trainer: False))
    monkeypatch.setattr("genlab.callbacks.views.aggregate.draw", None)  # would fail
    model = fit(tmp_path, SampleLogger(7))
    assert model.seen  # all ranks take part in the model's work
    assert not (tmp_path / "samples").exists()
