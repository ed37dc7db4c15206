"""Classifier-free guidance: away from what the model itself says without the condition."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.core import Condition, require, require_finite
from genlab.probability import Denoises, Estimate
from genlab.solvers.guidable import Guidable
from genlab.solvers.guidance import Guidance, evaluations


class ClassifierFreeGuidance(Guidance):
    """Unconditional + scale (conditional - unconditional), in both x_0 and eps.

    scale = 1 is the conditional model, 0 the unconditional one, and more than 1 leans away from the
    unconditional one; the paper's w is scale - 1. Both are evaluated in one batch.

    Args:
        scale: any finite number.
        kinds: of condition that the unconditional estimate lacks; none named is all of them, and of a model under
            `of` all that its training drops, since it knows no null of others.

    Raises:
        UserError: scale is not finite.

    Source: Ho and Salimans 2022, eq. 6.
    """

    def __init__(self, scale: float, kinds: Sequence[str] = ()):
        require_finite(scale=scale)
        self.scale, self.kinds = scale, tuple(kinds)

    @property
    def needs_condition(self) -> bool:
        return self.scale != 1

    def estimate(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        if condition is None or self.scale == 1:
            return denoiser(x_t, t, condition)
        n = len(x_t)
        both = Condition.cat([condition, condition.null(*self.kinds)])
        estimate = denoiser(torch.cat([x_t, x_t]), torch.cat([t, t]), both)
        x_0, eps = (self.scale * e[:n] + (1 - self.scale) * e[n:] for e in (estimate.x_0, estimate.eps))
        v = None if estimate.v is None else estimate.v[:n]  # the conditional variance
        return Estimate(x_0, eps, v)

    def evaluations(self, denoiser: Denoises, t: float) -> int:
        return evaluations(denoiser, t) * (1 if self.scale == 1 else 2)

    def of(self, model: Guidable) -> "ClassifierFreeGuidance":
        return self if self.kinds else ClassifierFreeGuidance(self.scale, model.droppable)

    def check(self, model: Guidable) -> None:
        able = bool(model.droppable) and set(self.kinds) <= set(model.droppable)
        expected = "1 for a model that is not trained both with labels and without"
        remedy = "set it to 1, or label_dropout to 0.1"
        require(self.scale == 1 or able, "guidance_scale", self.scale, expected, remedy)

    def protocol(self) -> dict[str, object]:
        return {"guidance": "classifier-free", "scale": self.scale, "kinds": list(self.kinds)}
