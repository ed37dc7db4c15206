"""Where a model's denoiser works, which is where images are edited: the data themselves, or scaled latents of them."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool2d

from genlab.core import HasScaledLatents, require
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling_part import guided_part


@dataclass(frozen=True)
class EditSpace:
    """The way from data to where a denoiser works, and back.

    Args:
        part: the module that has the denoiser, its guidance and its solver.
        latents: the model whose scaled latents are edited; None where the data themselves are.
    """

    part: nn.Module
    latents: HasScaledLatents | None = None

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
        on_grid = adaptive_max_pool2d(mask[None].float(), shape[1:])[0].bool()
        got, expected = f"one under all {shape[1]} x {shape[2]} places of the latents", "some that are kept"
        require(not bool(on_grid.all()), "mask", got, expected, remedy)
        return on_grid


def edit_space(loaded: Loaded) -> EditSpace | None:
    """The space in which a model edits, or None: it has no denoiser, or one of another model's answers.

    The latter is a cascade's last model, which sees its low-resolution image alone and would need one of the edit.
    """
    model, part = loaded.model, guided_part(loaded.model)
    if part is None or part is model:
        return part and EditSpace(part)
    return EditSpace(part, model) if isinstance(model, HasScaledLatents) else None


def check_editable(loaded: Loaded) -> EditSpace:
    """The space in which a model edits.

    Raises:
        UserError: it has none, naming the family.
    """
    space = edit_space(loaded)
    expected = "a diffusion model of the data or of their latents, for editing"
    if guided_part(loaded.model) is not None:
        expected += ", where this one's denoiser enlarges what another model drew"
    remedy = "choose a checkpoint of Diffusion or LatentDiffusion"
    require(space is not None, "ckpt", type(loaded.model).__name__, expected, remedy)
    return space
