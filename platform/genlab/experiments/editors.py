"""Who does an edit: a model's latents where it has such, else its denoiser."""

from types import ModuleType

from genlab.core import require
from genlab.experiments import editing, latent_editing
from genlab.experiments.loading import Loaded

BOTH = ("reconstruct", "interpolate")  # by a denoiser, through the noise of images


def editor_of(loaded: Loaded, kind: str) -> ModuleType:
    """The module whose `number_of`, `row_length`, `draw_edited` and `about_edit` are this model's for a kind of edit.

    Raises:
        UserError: the model can do no such thing.
    """
    if latent_editing.edits(loaded, kind):
        return latent_editing
    if kind in latent_editing.NEEDS and not (kind in BOTH and editing.has_denoiser(loaded)):
        needs = ", ".join(need.__name__ for need in latent_editing.NEEDS[kind])
        other = " or a denoiser" if kind in BOTH else ""
        expected = f"a model that has {needs}{other}, for --{kind}"
        require(False, "ckpt", type(loaded.model).__name__, expected, "choose another checkpoint")
    editing.check_editable(loaded)
    return editing
