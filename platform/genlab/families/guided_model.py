"""A denoiser that a family trains, and the guidance under which samples come from it."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from genlab.core import Condition, DataSpec, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.requests import Dropout, droppable
from genlab.families.schedules import Schedule
from genlab.probability import Denoises, GaussianPath
from genlab.solvers import ClampedData, ClassifierFreeGuidance, Guidable, Guidance, heun_step


class GuidedModel(GenerativeModel):
    """Base of the families that train a denoiser: it is guided in sampling.

    Guidance is classifier-free, then `guidance` in its order, then the clamping of data. Trained models that guide
    are held by the checkpoint, frozen. A subclass has a `network`.

    Args:
        spec, optimizer, schedule: see `GenerativeModel`.
        path: on which the denoiser works.
        label_dropout, guidance_scale, guidance, clamp: see `Diffusion`.

    Raises:
        UserError: a bound that is not positive.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        path: GaussianPath,
        label_dropout: Dropout,
        guidance_scale: float,
        guidance: Sequence[Guidance],
        clamp: float | None,
        optimizer: OptimizerFactory,
        schedule: Schedule | None,
    ):
        super().__init__(spec, optimizer, schedule)
        self.path = path
        self.label_dropout = label_dropout
        self.guidance_scale = guidance_scale
        self.guidance = list(guidance)
        if guides := [guide for g in self.guidance for guide in g.guides]:
            self.guides = nn.ModuleList(guides)
        require(clamp is None or clamp > 0, "clamp", clamp, "a positive bound", "use 1 for images")
        self.clamp = clamp

    @property
    @abstractmethod
    def denoiser(self) -> Denoises:
        """The map from (x_t, t, condition) to estimates of x_0 and eps, without guidance."""

    @property
    @abstractmethod
    def has_score(self) -> bool:
        """Whether -eps / sigma is the score of x_t."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Kinds of condition that samples can be asked for by: what the network takes, and guidance."""
        return tuple(
            dict.fromkeys([*self.learned_conditions, *(k for g in self.guidance for k in g.conditions)])
        )

    @property
    def learned_conditions(self) -> tuple[str, ...]:
        """What the network takes: guidance has its own."""
        return getattr(self.network, "conditions", super().conditions)

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """As for all, of the network's: guidance does without those that are its own."""
        return tuple(kind for kind in super().needed_conditions if kind in self.learned_conditions)

    @property
    def guidable(self) -> Guidable:
        """What a guidance asks of the denoiser, before any other guidance."""
        kinds = tuple(self.learned_conditions)
        return Guidable(self.path, droppable(kinds, self.label_dropout), self.has_score, self.spec, kinds)

    def guided(self, scale: float | None = None) -> Denoises:
        """The denoiser that samples come from: under the model's guidance, of another scale where given.

        Raises:
            UserError: guidance of a model that can't be guided so.
        """
        scale = self.guidance_scale if scale is None else scale
        clamped = [] if self.clamp is None else [ClampedData(self.clamp)]
        ours, denoiser = self.guidable, self.denoiser
        for guidance in (ClassifierFreeGuidance(scale), *self.guidance, *clamped):
            guidance.check(ours)
            ours = replace(ours, told=ours.told or guidance.needs_condition)
            denoiser = guidance.of(ours)(denoiser)
        return denoiser

    def flow_step(self, x_t: Tensor, t: Tensor, s: Tensor, condition: Condition | None = None) -> Tensor:
        """x_s from x_t (B, ...) by one step of Heun's along the guided probability-flow ODE, t and s (B,).

        It is what a student that is distilled from this model asks of it.
        """
        return heun_step(self.guided(), x_t, t, s, condition)
