"""Frozen: a model that was trained before, as a part of another one (a teacher, a first stage)."""

import hashlib

import torch
from torch import nn

from genlab.core.errors import require


class Frozen(nn.Module):
    """A trained model that is never trained further: no gradients, always in eval mode, outside weight averages.

    A config names its run; `lightning fit` reads that once and puts the model's own config, averaged weights and
    digest here, so that the checkpoint of the whole needs no other file. In Python, `Frozen(model=load(RUN))`.

    Args:
        checkpoint: a run directory, a checkpoint or an export, for the commands.
        weights: "ema", "raw", or one of the run's decays.
        model: the model itself.
        digest: of its weights, as `digest_of` gives it; "" is taken from the model as it is.

    Raises:
        UserError: there is no model.

    >>> frozen = Frozen(model=nn.Linear(2, 3))
    >>> frozen.train().training, [p.requires_grad for p in frozen.parameters()]
    (False, [False, False])
    """

    def __init__(
        self, checkpoint: str = "", weights: str = "ema", model: nn.Module | None = None, digest: str = ""
    ):
        super().__init__()
        remedy = "pass the path of its run, which `lightning fit` reads"
        require(model is not None, "checkpoint", checkpoint, "a trained model", remedy)
        self.checkpoint, self.weights = checkpoint, weights
        self.model = model.requires_grad_(False)
        self.digest = digest or digest_of(model)
        self.eval()

    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)

    @property
    def whole(self) -> bool:
        """Whether the model has the weights that it was trained to."""
        return digest_of(self.model) == self.digest

    def require_whole(self) -> None:
        """Refuse to work with weights that are not the trained ones.

        Raises:
            UserError: the run that they were in could not be read.
        """
        expected = "a run or checkpoint with the weights that this one was begun with"
        require(self.whole, "checkpoint", self.checkpoint, expected, "put it back, or begin a new run")


def digest_of(model: nn.Module) -> str:
    """A short hash of a model's weights and buffers, by name and value, but for a quantiser's levels.

    These stand in the config, and earlier states do not hold them.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, x in sorted(model.state_dict().items()):
        if name.rsplit(".", 1)[-1] == "levels":
            continue
        digest.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        digest.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
