"""Guidance away from what a weaker model of the same data says."""

from dataclasses import replace

import torch
from torch import Tensor

from genlab.core import Condition, Frozen, invalid, require, require_finite, require_same_data
from genlab.probability import Denoises, Estimate
from genlab.solvers.guidable import Guidable
from genlab.solvers.guidance import Guidance, evaluations


class Autoguidance(Guidance):
    """weaker + scale (denoiser - weaker): away from what a smaller or less trained model of the same data gets wrong.

    Args:
        weaker: a denoiser on the same path, or a model that has one; in a config, a `Frozen` that names its run. It is
            given the same condition.
        scale: 1 is without guidance; the paper's w.

    Raises:
        UserError: a `Frozen` of a model that has no denoiser; from `check`, a weaker model of other data or
            conditions, or on another path; from sampling, a sample without a condition that the weaker model never
            lost in training, so that it learned nothing without.

    Source: Karras et al. 2024b, eq. 4 with D_1 the model and D_0 the weaker one.
    """

    def __init__(self, weaker: Frozen | Denoises, scale: float = 2.0):
        require_finite(scale=scale)
        self.guides = (weaker,) if isinstance(weaker, Frozen) else ()
        self.model = weaker.model if isinstance(weaker, Frozen) else weaker
        name, expected = type(self.model).__name__, "a model with a denoiser, as Diffusion has"
        able = not self.guides or hasattr(self.model, "denoiser")
        require(able, "weaker", name, expected, "pass another run")
        self.weaker, self.scale = getattr(self.model, "denoiser", self.model), scale

    def estimate(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        strong = denoiser(x_t, t, condition)
        if self.scale == 1:
            return strong
        self._require_told(condition)
        weak = self.weaker(x_t, t, condition)
        x_0, eps = (torch.lerp(b, a, self.scale) for a, b in ((strong.x_0, weak.x_0), (strong.eps, weak.eps)))
        return replace(strong, x_0=x_0, eps=eps)

    def _require_told(self, condition: Condition | None) -> None:
        """Refuse samples without a condition that the weaker model never lost: its null is untrained."""
        knows = getattr(self.model, "guidable", None)
        if knows is None:  # a denoiser by itself
            return
        for kind in knows.conditions:
            if kind not in knows.droppable and _lacks(condition, kind):
                got = f"a model that never lost its {kind} in training"
                expected = f"one that did, as samples without {kind} are asked of it"
                remedy = f"give every sample its {kind}, or train the weaker model with label_dropout"
                raise invalid("weaker", got, expected, remedy)

    def evaluations(self, denoiser: Denoises, t: float) -> int:
        return evaluations(denoiser, t) + (0 if self.scale == 1 else evaluations(self.weaker, t))

    def check(self, model: Guidable) -> None:
        if model.spec is not None and hasattr(self.model, "spec"):
            require_same_data("weaker", self.model.spec, model.spec, classes=True)
            theirs, ours = self.model.conditions, model.conditions
            expected, remedy = f"the model's conditions, {ours}", "train it under these"
            require(theirs == ours, "weaker", theirs, expected, remedy)
        model.require_path("weaker", self.weaker.path)

    def protocol(self) -> dict[str, object]:
        digests = {"weaker": self.guides[0].digest} if self.guides else {}
        return {"guidance": "autoguidance", "scale": self.scale, **digests}


def _lacks(condition: Condition | None, kind: str) -> bool:
    """Whether some sample is without this kind."""
    if condition is None or getattr(condition, kind) is None:
        return True
    return kind in condition.keep and not bool(condition.keep[kind].all())
