"""Families that train one part, and whose samples are made of that part's."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genlab.core import CanShowPath, Condition, RandomStreams
from genlab.families.base import GenerativeModel
from genlab.families.parts import averaged_part


class OnePart(GenerativeModel):
    """Base of families with one part that is trained, by its own optimiser and schedule, beside frozen ones.

    Samples, and the states on the way to them, are the part's: what it is asked for says `asked`, what data they
    become says `shown`. By default both are as they are.

    Attributes:
        part_name: the attribute that holds the part.
    """

    part_name: ClassVar[str]

    @property
    def part(self) -> nn.Module:
        """What is trained."""
        return getattr(self, self.part_name)

    def averaged_modules(self) -> list[str]:
        return averaged_part(self.part_name, self.part)

    def configure_optimizers(self) -> dict[str, Any]:
        return self.part.configure_optimizers()

    def asked(
        self, num_samples: int, condition: Condition | None, rng: RandomStreams
    ) -> tuple[Condition | None, RandomStreams]:
        """What the part is asked for, and by which noise, for samples of this model under a condition, or None."""
        return condition, rng

    def shown(self, x: Tensor) -> Tensor:
        """The data (B, *spec.shape) of the part's samples, or states, (B, ...)."""
        return x

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """New data (num_samples, *spec.shape).

        Args:
            num_samples: how many, as many as rng has streams.
            condition: theirs, or None.
            rng: where noise comes from.

        Raises:
            UserError: rng or the condition are for another number of samples, or there is no such condition.
        """
        with self.evaluating():
            asked, ours = self.asked(num_samples, condition, rng)
            return self.shown(self.part.sample(num_samples, condition=asked, rng=ours))

    @property
    def has_sample_path(self) -> bool:
        """Whether the part shows its states."""
        return isinstance(self.part, CanShowPath) and getattr(self.part, "has_sample_path", True)

    def sample_path(
        self,
        num_samples: int,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        num_frames: int = 16,
    ) -> Tensor:
        """The data of the part's states, from noise to `sample`'s answer: (num_frames, num_samples, *spec.shape)."""
        with self.evaluating():
            asked, ours = self.asked(num_samples, condition, rng)
            states = self.part.sample_path(num_samples, condition=asked, rng=ours, num_frames=num_frames)
            return torch.stack([self.shown(x) for x in states])
