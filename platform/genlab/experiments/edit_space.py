"""Where a model's denoiser works, which is where images are edited: the data themselves, or scaled latents of them."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d, interpolate

from genlab.core import CanEnlarge, Condition, HasScaledLatents, RandomStreams, derive_seed, require
from genlab.experiments.sampling_part import guided_part


@dataclass(frozen=True)
class EditSpace:
    """The way from data to where a denoiser works, and back.

    Args:
        part: the module that has the denoiser, its guidance and its solver.
        latents: the model whose scaled latents are edited; None where the data themselves are.
        cascade: the model whose part enlarges low-resolution images, which its base edits before; None where the
            denoiser sees none.
    """

    part: nn.Module
    latents: HasScaledLatents | None = None
    cascade: CanEnlarge | None = None

    def enter(self, x: Tensor) -> Tensor:
        """What is edited in place of data x (B, ...)."""
        return x if self.latents is None else self.latents.to_scaled(x)

    def leave(self, z: Tensor) -> Tensor:
        """Data of what was edited."""
        return z if self.latents is None else self.latents.from_scaled(z)

    def missing(self, mask: Tensor) -> Tensor:
        """Where to fill in, (1, h, w) bool: of a map of latents, wherever a missing pixel of (1, H, W) is under it.

        Raises:
            UserError: latents without places, or a mask under all of them.
        """
        if self.latents is None:
            return mask
        shape, remedy = self.part.spec.shape, "use --from, or a first stage with a finer map of latents"
        require(len(shape) == 3, "inpaint", f"latents {shape}", "latents that are a map (C, h, w)", remedy)
        on_grid = pooled(mask, shape)
        got, expected = f"one under all {shape[1]} x {shape[2]} places of the latents", "some that are kept"
        require(not bool(on_grid.all()), "mask", got, expected, remedy)
        return on_grid

    @property
    def base(self) -> nn.Module | None:
        """The model that edits low-resolution images before, if any."""
        return None if self.cascade is None else self.cascade.base.model

    def lowered(self, x: Tensor, missing: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Low-resolution images of x (B, C, H, W), of what is known of it, and where they are missing, (1, h, w) bool.

        A value is missing where half of its weight or more lies on missing pixels (1, H, W).
        """
        known = x.new_ones(1, *x.shape[2:]) if missing is None else (~missing).to(x)
        rows, columns = (
            narrowing(low, high, self.enlarged) for low, high in zip(self.low, x.shape[2:], strict=True)
        )
        rows, columns = rows.to(x), columns.to(x)
        there = rows @ known @ columns.T
        gone = there <= 0.5
        low = rows @ (x * known) @ columns.T / there.masked_fill(gone, 1)
        return low, None if missing is None else gone

    @property
    def low(self) -> tuple[int, int]:
        """Height and width of low-resolution images."""
        return self.base.spec.shape[1:]

    @property
    def enlarged(self) -> bool:
        """Whether images are low-resolution ones enlarged, rather than these reduced, as far as levels tell.

        What is resized has 256, so that the data's own are known by another number. Of data that have 256 themselves,
        and where both are resized, images count as reduced.
        """
        spec = self.cascade.spec
        return spec["low_resolution"].num_levels not in (256, spec[spec.data].num_levels)

    def condition(self, low: Tensor | None, label: Tensor | None, rng: RandomStreams) -> Condition | None:
        """The denoiser's, of low-resolution images, where it sees any, and classes; the same noise each time."""
        if self.cascade is None:
            return None if label is None else Condition(label=label)
        return self.cascade.enlarging(low, label, self.streams("enlarging", rng))

    def streams(self, purpose: str, rng: RandomStreams) -> RandomStreams:
        """Streams of the same samples apart from rng's, and from those at other resolutions."""
        seed = derive_seed(purpose, rng.seed, str(self.part.spec.shape))
        return RandomStreams(seed, rng.indices, rng.device)


@cache
def narrowing(low: int, high: int, enlarged: bool) -> Tensor:
    """What takes `high` values to `low`, (low, high): as `TwoResolutions` reduces them, or back from its enlarging.

    >>> narrowing(2, 4, enlarged=False).sum(1)
    tensor([1., 1.], dtype=torch.float64)
    """
    start, end = (low, high) if enlarged else (high, low)
    with torch.inference_mode(False):
        lines = torch.eye(start, dtype=torch.float64)[None, None]
        weights = interpolate(lines, size=(start, end), mode="bilinear", antialias=True)[0, 0].T
        return torch.linalg.pinv(weights) if enlarged else weights


def pooled(mask: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Where of (1, h, w) any of a mask (1, H, W) is set."""
    return adaptive_max_pool2d(mask[None].float(), shape[1:])[0].bool()


def edit_space(model: nn.Module) -> EditSpace | None:
    """The space in which a model edits, or None: it, or a model under it, has no denoiser."""
    part = guided_part(model)
    if part is None or part is model:
        return part and EditSpace(part)
    if isinstance(model, HasScaledLatents):
        return EditSpace(part, latents=model)
    enlarges = isinstance(model, CanEnlarge) and edit_space(model.base.model) is not None
    return EditSpace(part, cascade=model) if enlarges else None


def check_editable(model: nn.Module) -> EditSpace:
    """The space in which a model edits.

    Raises:
        UserError: it has none, naming the family.
    """
    space, name = edit_space(model), type(model).__name__
    if space is None and isinstance(model, CanEnlarge):
        name += f" of a {type(model.base.model).__name__}"
    expected, remedy = "a diffusion model of the data or of their latents", "choose another checkpoint"
    require(space is not None, "ckpt", name, f"{expected}, or a cascade of these, for editing", remedy)
    return space
