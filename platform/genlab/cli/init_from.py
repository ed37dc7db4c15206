"""`--init_from`: a new run that starts from another model's weights."""

from torch import nn

from genlab.core import Frozen, UserError
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.loading import load_weights, resolve_checkpoint
from genlab.experiments.ranks import note


def initialise(model: nn.Module, ckpt: str) -> None:
    """Start from another model's averaged weights where names and shapes agree; say which did.

    A frozen part stays the run's that the config names.

    Raises:
        UserError: nothing agrees.
    """
    path = resolve_checkpoint(ckpt)
    checkpoint = read_checkpoint(path)
    checkpoint.setdefault("genlab", {})
    weights = load_weights(checkpoint, "ema", path)
    frozen = tuple(f"{name}." for name, part in model.named_modules() if isinstance(part, Frozen))
    mine = {k: v for k, v in model.state_dict().items() if not k.startswith(frozen)}
    theirs = checkpoint["state_dict"]
    fits = {k: v for k, v in theirs.items() if k in mine and mine[k].shape == v.shape}
    if not fits:
        raise UserError(
            f"init_from: no weight in {str(path)!r} fits {type(model).__name__}; pass another checkpoint"
        )
    model.load_state_dict(fits, strict=False)
    note(f"init_from: {len(fits)} of {len(mine)} tensors from {path} ({weights})")
    left = [k for k in mine if k not in fits]
    if left:
        note(f"init_from: left as initialised: {', '.join(left[:8])}{' ...' if len(left) > 8 else ''}")
