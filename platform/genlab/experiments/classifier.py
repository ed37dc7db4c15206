"""A trained classifier of noisy data, as the guidance of a trained model."""

from genlab.experiments.guides import add_guidance, freeze
from genlab.experiments.loading import Loaded, load_checkpoint
from genlab.experiments.sampling_part import sampling_part
from genlab.solvers import ClassifierGuidance


def guide_by_classifier(loaded: Loaded, path_or_run: str, scale: float = 1.0) -> None:
    """Guide a model's sampling by the classifier of a run, after the guidance that it has.

    An unconditional model can be asked for classes then.

    Args:
        loaded: the model, changed in place; its `changes` tell of the classifier.
        path_or_run: of the classifier, by its averaged weights.
        scale: of the gradient of log p(y | x_t).

    Raises:
        UserError: the model has no solver; the other is no classifier, or one of other data or another path; a
            negative scale.
    """
    part = sampling_part(loaded)
    other = load_checkpoint(path_or_run, device=next(loaded.model.parameters()).device)
    classifier = freeze(other, other.model)
    guidance = ClassifierGuidance(classifier, scale, conditional="label" in part.conditions)
    add_guidance(loaded, "classifier", guidance, classifier, other, scale)
