"""Editing in the latents of a first stage, and through a cascade, where the law of all parts is known."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from genlab.core import Condition, DataSpec, Frozen, HasScaledLatents, ModalitySpec, UserError, WorkError
from genlab.data import Digits, TwoResolutions
from genlab.experiments.edit_space import edit_space, narrowing
from genlab.experiments.editing import about_edit, draw_edited
from genlab.experiments.editors import editor_of
from genlab.experiments.edits import Edit
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request
from genlab.families import Cascade, Diffusion, LatentDiffusion
from genlab.probability import ExactDenoiser, GaussianMixture, LinearPath
from genlab.solvers import Heun

SPEC = DataSpec("tiny", {"image": ModalitySpec((1, 8, 8))})
LOWER = (torch.arange(8) >= 4).view(1, 8, 1).expand(1, 8, 8)
SIZE, STD = 0.5, 0.05  # images are all of about SIZE or all of about -SIZE


class Folding(nn.Module):
    """A first stage that loses nothing: each 2x2 patch is a place with four channels."""

    latent_spec = DataSpec("tiny", {"latent": ModalitySpec((4, 4, 4))})

    def __init__(self, spec: DataSpec = SPEC):
        super().__init__()
        self.spec = spec

    def encode(self, x: Tensor) -> Tensor:
        return pixel_unshuffle(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return pixel_shuffle(z, 2)


class Blurring(Folding):
    """One that keeps each patch's mean alone."""

    latent_spec = DataSpec("tiny", {"latent": ModalitySpec((1, 4, 4))})

    def encode(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return z.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Flat(Folding):
    """One whose latents have no places."""

    latent_spec = DataSpec("tiny", {"latent": ModalitySpec((64,))})

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.view(-1, 1, 8, 8)


class ExactVelocity(nn.Module):
    """eps - x_0 on the linear path, of scaled latents that are all near 1 or all near -1."""

    def __init__(self, spec: DataSpec):
        super().__init__()
        ones = torch.ones(2, spec[spec.data].num_values)
        self.unused = nn.Parameter(torch.zeros(1))
        self.law = GaussianMixture(ones * torch.tensor([[-1.0], [1.0]]), scale=STD / SIZE)

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        estimate = ExactDenoiser(self.law, LinearPath(1e-3))(x.flatten(1), t)
        return (estimate.eps - estimate.x_0).view_as(x)


def loaded(stage: type[Folding] = Folding) -> Loaded:
    def prior(spec: DataSpec) -> Diffusion:
        return Diffusion(spec, ExactVelocity, LinearPath(1e-3), solver=Heun(20))

    model = LatentDiffusion(SPEC, Frozen(model=stage()), prior)
    model.mean += 0.02  # as if it had been measured
    model.std *= SIZE
    return Loaded(model, SPEC, {}, "raw", Path(), None, 0, {})


class ExactEnlarging(nn.Module):
    """eps - x_0 on the linear path, of images that are their low resolution enlarged, and a little noise."""

    conditions = ("image", "vector")

    def __init__(self, spec: DataSpec):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, t: Tensor, condition: Condition | None = None) -> Tensor:
        mean, t = condition.image.repeat_interleave(2, 2).repeat_interleave(2, 3), t.view(-1, 1, 1, 1)
        gain = (1 - t) * STD**2 / ((1 - t) ** 2 * STD**2 + t**2)
        x_0 = mean + gain * (x - (1 - t) * mean)
        return (x - (1 - t) * x_0) / t - x_0


class Halves(ExactVelocity):
    """Of images that are all near SIZE or all near -SIZE."""

    def __init__(self, spec: DataSpec):
        super().__init__(spec)
        ones = SIZE * torch.ones(2, spec[spec.data].num_values)
        self.law = GaussianMixture(ones * torch.tensor([[-1.0], [1.0]]), scale=STD / 2)


def cascade(base: nn.Module | None = None) -> Loaded:
    """From 4x4 to 8x8."""
    low, path = ModalitySpec((1, 4, 4)), LinearPath(1e-3)
    base = base or Diffusion(DataSpec("tiny", {"image": low}), Halves, path, solver=Heun(20))
    spec = DataSpec("tiny", {"image": ModalitySpec((1, 8, 8)), "low_resolution": low})

    def enlarge(spec: DataSpec) -> Diffusion:
        return Diffusion(spec, ExactEnlarging, path, solver=Heun(20), label_dropout=0.0)

    model = Cascade(spec, Frozen(model=base), enlarge, level=0.0)
    return Loaded(model, spec, {}, "raw", Path(), None, 0, {})


def images(num: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    sign = torch.tensor([1.0, -1.0]).repeat(num)[:num].view(num, 1, 1, 1)
    return SIZE * sign + 0.02 + STD * torch.randn(num, 1, 8, 8, generator=generator)


def edited(model: Loaded, edit: Edit, num: int | None = None) -> Tensor:
    request = Request(num=num or len(edit.images), batch_size=4)
    return torch.cat([batch["image"] for batch in draw_edited(model, request, edit)])


@pytest.mark.parametrize("stage", [Folding, Blurring])
def test_inpainting_keeps_what_is_known_and_finds_what_fits(stage: type[Folding]):
    x, model = images(), loaded(stage)
    filled = edited(model, Edit("inpaint", x, missing=LOWER, resamples=4, steps=20))
    assert torch.equal(filled[:, :, :4], x[:, :, :4])
    assert torch.equal(filled[:, :, 4:].sign(), x[:, :, 4:].sign())
    torch.testing.assert_close(filled[:, :, 4:].abs().mean(), torch.tensor(SIZE), atol=0.05, rtol=0)
    other = x.where(~LOWER, torch.tensor(0.9))
    again = edited(model, Edit("inpaint", other, missing=LOWER, resamples=4, steps=20))
    torch.testing.assert_close(again, filled)
    assert about_edit(model, Edit("inpaint", x, missing=LOWER))["space"] == "scaled latents"


def test_a_place_of_the_latents_is_missing_where_any_of_its_pixels_is():
    space = edit_space(loaded().model)
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, 3, 6] = True
    assert space.missing(mask).nonzero().tolist() == [[0, 1, 3]]
    assert space.missing(LOWER).sum() == 8


def test_farther_with_strength():
    x, model = images(64), loaded()
    back = [edited(model, Edit("from", x, strength=s)) for s in (0.0, 0.2, 0.5, 0.8, 1.0)]
    far = [float((y - x).square().mean()) for y in back]
    torch.testing.assert_close(back[0], x)
    assert far == sorted(far)
    assert far[1] < 0.01
    kept = [float((y.mean((1, 2, 3)).sign() == x.mean((1, 2, 3)).sign()).float().mean()) for y in back]
    assert kept[1] == 1
    assert 0.3 < kept[-1] < 0.7, "nothing is left of it"


def test_inverted_and_back_and_from_one_to_the_other():
    x, model = images(), loaded()
    error = (edited(model, Edit("invert", x)) - x).square().mean()
    assert 10 * torch.log10(4 / error) >= 30
    assert editor_of(model, "interpolate").__name__.endswith(".editing"), "through noise, not straight"
    between = edited(model, Edit("interpolate", x[:1], others=x[1:2]), num=5)
    torch.testing.assert_close(between[[0, 4]], torch.cat([x[:1], x[1:2]]), atol=2e-2, rtol=0)
    assert (between.mean((1, 2, 3)).abs() > 0.35).all(), "a straight way leads through grey"


def test_a_cascades_base_edits_first_and_its_last_model_enlarges_that():
    x, model = images() - 0.02, cascade()
    filled = edited(model, Edit("inpaint", x, missing=LOWER, resamples=4, steps=20))
    assert torch.equal(filled[:, :, :4], x[:, :, :4])
    assert torch.equal(filled[:, :, 4:].sign(), x[:, :, 4:].sign()), "which the base alone can know"
    torch.testing.assert_close(filled[:, :, 4:].abs().mean(), torch.tensor(SIZE), atol=0.05, rtol=0)
    back = [edited(model, Edit("from", x, strength=s)) for s in (0.0, 0.2, 0.8, 1.0)]
    far = [float((y - x).square().mean()) for y in back]
    torch.testing.assert_close(back[0], x)
    assert far == sorted(far)
    error = (edited(model, Edit("reconstruct", x)) - x).square().mean()
    assert 10 * torch.log10(4 / error) >= 30
    between = edited(model, Edit("interpolate", x[:1], others=x[1:2]), num=5)
    torch.testing.assert_close(between[[0, 4]], torch.cat([x[:1], x[1:2]]), atol=2e-2, rtol=0)
    assert (between.mean((1, 2, 3)).abs() > 0.35).all(), "a straight way leads through grey"
    about = about_edit(model, Edit("inpaint", x, missing=LOWER))
    assert [len(about["base_samplers"]), "space" in about] == [1, False]
    assert about["sampler"]["guidance_scale"] == 1
    assert "guidance_scale" not in about_edit(model, Edit("reconstruct", x))["sampler"], "no way back from it"


def test_low_resolution_images_are_made_as_the_data_are_and_of_what_is_known_alone():
    low = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    large = interpolate(low, size=32, mode="bilinear", antialias=True)
    small = interpolate(large, size=8, mode="bilinear", antialias=True)
    for enlarged, wanted in ((True, low), (False, small)):
        rows = narrowing(8, 32, enlarged)
        torch.testing.assert_close(rows @ large @ rows.T, wanted)
    space, x = edit_space(cascade().model), torch.randn(2, 1, 8, 8)
    assert not space.enlarged
    for size, small, grown in ((32, 8, True), (8, 4, False), (32, 16, False)):
        other = edit_space(cascade().model)
        other.cascade.spec = TwoResolutions(Digits(), size=size, low_resolution=small).spec
        assert other.enlarged == grown
    other = x.where(~LOWER, torch.tensor(0.9))
    (mine, missing), (theirs, _) = (space.lowered(image, LOWER) for image in (x, other))
    assert missing[0].all(1).tolist() == [False, False, True, True]
    assert torch.equal(mine[:, :, :2], theirs[:, :, :2]), "what is missing would show through"
    torch.testing.assert_close(
        space.lowered(torch.ones(1, 1, 8, 8), LOWER)[0][:, :, :2], torch.ones(1, 1, 2, 4)
    )


def test_edits_that_are_no_numbers_are_refused():
    x = images(3).where(torch.arange(3).view(3, 1, 1, 1) != 1, torch.tensor(torch.nan))
    with pytest.raises(WorkError, match="1 of samples 0 to 2 are not finite"):
        edited(loaded(), Edit("from", x, strength=0.2))


def test_a_cascade_of_what_has_no_denoiser_is_refused():
    class Draws(nn.Module):
        spec, conditional, needed_conditions = DataSpec("tiny", {"image": ModalitySpec((1, 4, 4))}), False, ()

        def sample(self, num_samples, *, condition=None, rng):
            return torch.zeros(num_samples, 1, 4, 4)

        def sampling_protocol(self):
            return {}

    with pytest.raises(UserError, match="ckpt: got 'Cascade of a Draws', expected a diffusion model"):
        edited(cascade(Draws()), Edit("from", images()))


def test_latents_without_places_are_not_filled_in_but_all_else_is_done():
    x, model = images(2), loaded(Flat)
    with pytest.raises(UserError, match=r"inpaint: got 'latents \(64,\)', expected latents that are a map"):
        edited(model, Edit("inpaint", x, missing=LOWER))
    torch.testing.assert_close(edited(model, Edit("from", x, strength=0.0)), x)
    holes = torch.zeros(1, 8, 8, dtype=torch.bool)
    holes[:, ::2, ::2] = True
    with pytest.raises(UserError, match="mask: got 'one under all 4 x 4 places of the latents'"):
        edited(loaded(), Edit("inpaint", x, missing=holes))


def test_a_latent_diffusion_model_has_scaled_latents():
    model, x = loaded().model, images()
    assert isinstance(model, HasScaledLatents)
    torch.testing.assert_close(model.from_scaled(model.to_scaled(x)), x)
    assert abs(float(model.to_scaled(x).abs().mean()) - 1) < 0.1
