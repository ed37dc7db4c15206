"""Guidance that is limited to an interval of noise levels."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from genlab.core import Condition, expand_like, require
from genlab.probability import Denoises, Estimate
from genlab.solvers.guidable import Guidable
from genlab.solvers.guidance import Guidance, evaluations


class IntervalGuidance(Guidance):
    """Another guidance at noise levels low < sigma / alpha <= high, and none elsewhere.

    At high noise guidance takes variety away, at low noise it does nothing.

    Args:
        guidance: that is limited.
        low, high: noise levels sigma / alpha.

    Raises:
        UserError: unless 0 <= low < high.

    Source: Kynkaanniemi et al. 2024, eq. 6.
    """

    def __init__(self, guidance: Guidance, low: float = 0.0, high: float = math.inf):
        require(0 <= low < high, "low, high", (low, high), "0 <= low < high", "0.2 and 5 are usual in images")
        self.guidance, self.low, self.high = guidance, low, high
        self.conditions, self.guides = guidance.conditions, guidance.guides

    @property
    def needs_condition(self) -> bool:
        return self.guidance.needs_condition

    def estimate(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        level = denoiser.path.noise_level(t.double())
        inside = (level > self.low) & (level <= self.high)
        if not inside.any():
            return self.unguided(denoiser, x_t, t, condition)
        guided = self.guidance.estimate(denoiser, x_t, t, condition)
        if inside.all():
            return guided
        plain, here = self.unguided(denoiser, x_t, t, condition), expand_like(inside, x_t)
        x_0, eps = torch.where(here, guided.x_0, plain.x_0), torch.where(here, guided.eps, plain.eps)
        return replace(guided, x_0=x_0, eps=eps)

    def unguided(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        return self.guidance.unguided(denoiser, x_t, t, condition)

    def evaluations(self, denoiser: Denoises, t: float) -> int:
        level = float(denoiser.path.noise_level(torch.tensor(t, dtype=torch.float64)))
        inside = self.low < level <= self.high
        return self.guidance.evaluations(denoiser, t) if inside else evaluations(denoiser, t)

    def of(self, model: Guidable) -> "IntervalGuidance":
        return IntervalGuidance(self.guidance.of(model), self.low, self.high)

    def check(self, model: Guidable) -> None:
        self.guidance.check(model)

    def protocol(self) -> dict[str, object]:
        high = self.high if math.isfinite(self.high) else None
        return {**self.guidance.protocol(), "interval": [self.low, high]}
