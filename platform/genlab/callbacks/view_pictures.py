"""Views of a model in training."""

from lightning.pytorch import LightningModule, Trainer

from genlab.callbacks.held_out import held_out
from genlab.callbacks.inference import inference
from genlab.callbacks.views import VIEWS, Picture, Scene
from genlab.core import DataSpec

MOST_DATA = 512  # encoded for the aggregate posterior, for KLs, for a codebook's use
MOST_VALUES = 1 << 24  # of all of them together: of large images there are fewer
LEAST_DATA = 16


def look(trainer: Trainer, pl_module: LightningModule, names: list[str], seed: int) -> dict[str, Picture]:
    """The pictures of now, under the averaged weights; without a trace in training.

    Every rank works, since weights may be shared out over them; what is handed back is drawn by the first.
    """
    batch = held_out(trainer, num_data(pl_module.spec)) if names else None
    if batch is None:
        return {}
    with inference(trainer, pl_module):
        scene = Scene(pl_module, batch[pl_module.spec.data], batch.get("label"), seed)
        found = {name: VIEWS[name].look(scene) for name in names}
    return {name: picture for name, picture in found.items() if picture is not None}


def num_data(spec: DataSpec) -> int:
    """How many data are looked at."""
    return max(LEAST_DATA, min(MOST_DATA, MOST_VALUES // spec[spec.data].num_values))
