"""Who does an edit: a model's denoiser, or its latents."""

from types import ModuleType

from genlab.core import require
from genlab.experiments import editing, latent_editing
from genlab.experiments.edit_space import check_editable, edit_space
from genlab.experiments.loading import Loaded

BOTH = ("reconstruct", "interpolate")  # by a denoiser, through the noise of images


def editor_of(loaded: Loaded, kind: str) -> ModuleType:
    """The module whose `number_of`, `row_length`, `draw_edited` and `about_edit` are this model's for a kind of edit.

    A model that has both latents and a denoiser of them goes from one image to another by the latter, along data that
    it has learned are likely.

    Raises:
        UserError: the model can do no such thing.
    """
    denoises = edit_space(loaded.model) is not None
    if latent_editing.edits(loaded, kind) and not (kind == "interpolate" and denoises):
        return latent_editing
    if kind in latent_editing.NEEDS and not (kind in BOTH and denoises):
        needs = ", ".join(need.__name__ for need in latent_editing.NEEDS[kind])
        other = " or a denoiser" if kind in BOTH else ""
        expected = f"a model that has {needs}{other}, for --{kind}"
        require(False, "ckpt", type(loaded.model).__name__, expected, "choose another checkpoint")
    check_editable(loaded.model)
    return editing
