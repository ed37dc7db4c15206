"""Guidance: maps from denoisers to denoisers, so that guidances compose."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from genlab.core import Condition, Frozen
from genlab.probability import Denoises, Estimate, GaussianPath
from genlab.solvers.guidable import Guidable


class Guidance(ABC):
    """What turns a denoiser into another; `scale` has one meaning: from + scale (to - from), 1 is `to`.

    Attributes:
        conditions: kinds of condition that it knows itself, also where the denoiser takes none.
        guides: trained models within it, which go into the checkpoint of the model that it guides.

    >>> from genlab.probability import EightGaussians, ExactDenoiser, LinearPath
    >>> from genlab.solvers import ClassifierFreeGuidance
    >>> guided = ClassifierFreeGuidance(2.0)(ExactDenoiser(EightGaussians(), LinearPath()))
    >>> evaluations(guided, 0.5)
    2
    """

    conditions: tuple[str, ...] = ()
    guides: tuple[Frozen, ...] = ()

    def __call__(self, denoiser: Denoises) -> "Guided":
        """The guided denoiser."""
        return Guided(denoiser, self)

    @property
    def needs_condition(self) -> bool:
        """Whether it does nothing without a condition."""
        return False

    @abstractmethod
    def estimate(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        """Guided estimates at x_t (B, ...), t (B,)."""

    def unguided(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        """What it starts from: where a guidance does nothing, this is the model that it guides."""
        return denoiser(x_t, t, condition)

    def evaluations(self, denoiser: Denoises, t: float) -> int:
        """Evaluations of networks that one call with a condition at time t costs per sample."""
        return evaluations(denoiser, t)

    def of(self, model: Guidable) -> "Guidance":
        """This guidance for one model, with what it leaves open taken from there."""
        return self

    def check(self, model: Guidable) -> None:  # noqa: B027
        """Refuse a model that can't be guided so.

        Raises:
            UserError: in one line, what it lacks.
        """

    @abstractmethod
    def protocol(self) -> dict[str, object]:
        """Which guidance it is, as primitives."""


@dataclass(frozen=True)
class Guided:
    """A denoiser under guidance, a denoiser itself."""

    denoiser: Denoises
    guidance: Guidance

    @property
    def path(self) -> GaussianPath:
        """The denoiser's path."""
        return self.denoiser.path

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition | None = None) -> Estimate:
        """Estimates at x_t (B, ...), t (B,)."""
        return self.guidance.estimate(self.denoiser, x_t, t, condition)

    def evaluations(self, t: float) -> int:
        """Evaluations of networks that one call with a condition at time t costs per sample."""
        return self.guidance.evaluations(self.denoiser, t)


def evaluations(denoiser: Denoises, t: float) -> int:
    """Evaluations of networks that one call of any denoiser at time t costs per sample; 1 without guidance."""
    return denoiser.evaluations(t) if isinstance(denoiser, Guided) else 1
