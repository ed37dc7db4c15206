"""Trained models that guide another one's sampling by a command's option: held frozen, and told of in records."""

from torch import nn

from genlab.core import Frozen
from genlab.experiments.loading import Loaded
from genlab.experiments.run_dir import RunDir
from genlab.experiments.sampling_part import sampling_part
from genlab.solvers import Guidance


def add_guidance(
    loaded: Loaded, name: str, guidance: Guidance, guide: Frozen, other: Loaded, scale: float
) -> None:
    """Put a guidance after those that a model has, and enter it into the settings that differ from the run's.

    Scores and samples under it bear these in their protocol, and in the names of their files, so that they never take
    the place of the run's own.

    Args:
        loaded: the model, changed in place.
        name: of the option, "classifier" or "weaker".
        guidance: by `guide`.
        guide: the trained model.
        other: where that came from.
        scale: of the guidance.

    Raises:
        UserError: the guidance does not fit the model.
    """
    part = sampling_part(loaded)
    part.guidance.append(guidance)
    part.guided()  # which refuses what does not fit
    loaded.changes[name] = f"{origin(other)} {guide.digest[:8]}"
    loaded.changes[f"{name}_scale"] = f"{float(scale)}"


def freeze(other: Loaded, part: nn.Module) -> Frozen:
    """A loaded model, or a part of it, as what guides; its digest tells it from every other one."""
    return Frozen(checkpoint=str(other.path), weights=other.weights, model=part)


def origin(other: Loaded) -> str:
    """A model for people: "<experiment>/<run id> step 1500", or its file's name where that is in no run."""
    path = other.path.resolve()
    run = RunDir.of(path)
    return f"{run.name if run else path.stem} step {other.step}"
