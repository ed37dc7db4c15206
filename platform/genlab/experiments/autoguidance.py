"""A smaller or less trained model, as the guidance of a trained one."""

from genlab.experiments.guides import add_guidance, freeze
from genlab.experiments.loading import Loaded, load_checkpoint
from genlab.experiments.sampling_part import sampling_part
from genlab.solvers import Autoguidance


def guide_by_weaker(loaded: Loaded, path_or_run: str, scale: float, weights: str = "ema") -> None:
    """Guide a model's sampling away from what a weaker one gets wrong, after the guidance that it has.

    Args:
        loaded: the model, changed in place; its `changes` tell of the weaker one.
        path_or_run: of the weaker model: a smaller network's run, or an early checkpoint of the same run.
        scale: 1 is without guidance.
        weights: of the weaker model.

    Raises:
        UserError: a model without a solver; one of other data, other classes or another path.
    """
    sampling_part(loaded)  # refused before the other is read
    device = next(loaded.model.parameters()).device
    other = load_checkpoint(path_or_run, weights=weights, device=device)
    weaker = freeze(other, sampling_part(other))
    add_guidance(loaded, "weaker", Autoguidance(weaker, scale), weaker, other, scale)
