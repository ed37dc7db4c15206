"""What is sampled by a solver: its walk from noise to data, by a denoiser under guidance."""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, RandomStreams
from genlab.families.base import OptimizerFactory
from genlab.families.guided_model import GuidedModel
from genlab.families.requests import Dropout, check_dropout
from genlab.families.schedules import Schedule
from genlab.probability import GaussianPath
from genlab.solvers import Guidance, Solver, network_evaluations


class SolverSampling(GuidedModel):
    """Base of the families whose samples are a solver's, from a denoiser that a subclass trains.

    A subclass has a `network`, and calls `check_sampling` when it is built.

    Args:
        spec, path, optimizer, schedule: see `GuidedModel`.
        solver, label_dropout, guidance_scale, guidance, clamp: see `Diffusion`.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        path: GaussianPath,
        solver: Solver,
        label_dropout: Dropout,
        guidance_scale: float,
        guidance: Sequence[Guidance],
        clamp: float | None,
        optimizer: OptimizerFactory,
        schedule: Schedule | None,
    ):
        super().__init__(spec, path, label_dropout, guidance_scale, guidance, clamp, optimizer, schedule)
        self.solver = solver

    @abstractmethod
    def check_solver(self, solver: Solver) -> None:
        """Refuse a solver that can't sample from this model; raises UserError."""

    def check_sampling(self) -> None:
        """Refuse a solver, shares of lost conditions or guidance that do not fit the model.

        Raises:
            UserError: in one line, which it is.
        """
        self.check_solver(self.solver)
        check_dropout(self.label_dropout, self.conditions)
        self.guided()

    def sample(
        self,
        num_samples: int,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        guidance_scale: float | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """New data (num_samples, *spec.shape), clamped to [-1, 1] where the data have levels.

        Args:
            num_samples: how many, as many as rng has streams.
            condition: their classes, or None for the unconditional model; one that is trained with labels
                alone draws classes evenly.
            rng: where noise comes from.
            guidance_scale, solver: other than the model's own.

        Raises:
            UserError: rng or the condition are for another number of samples, or the model is unconditional.
        """
        with self.evaluating():
            states = self._states(num_samples, condition, rng, guidance_scale, solver or self.solver)
            return self._clamp(deque(states, maxlen=1).pop())

    def sample_path(
        self,
        num_samples: int,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        num_frames: int = 16,
    ) -> Tensor:
        """The states x_t from noise to data, evenly spread over the solver's steps: (num_frames, num_samples, ...)."""
        rows = torch.linspace(self.solver.num_steps, 0, num_frames).round().int().flip(0).tolist()
        with self.evaluating():
            states = self._states(num_samples, condition, rng, None, self.solver)
            kept = {i: self._clamp(x) for i, x in enumerate(states) if i in rows}
        return torch.stack([kept[i] for i in rows])

    def sampling_protocol(self) -> dict[str, object]:
        """Solver, its steps, evaluations of networks, guidance and clamping."""
        nfe = network_evaluations(self.solver, self.guided())
        return {**self.solver.protocol(), "nfe": nfe, **self.guidance_protocol()}

    def guidance_protocol(self) -> dict[str, object]:
        """Guidance and clamping, whatever the solver."""
        how = {"guidance_scale": self.guidance_scale, "clamp": self.clamp}
        return how | ({"guidance": [g.protocol() for g in self.guidance]} if self.guidance else {})

    def _states(
        self,
        num_samples: int,
        condition: Condition | None,
        rng: RandomStreams,
        guidance_scale: float | None,
        solver: Solver,
    ) -> Iterator[Tensor]:
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        condition = self.condition_or_drawn(condition, rng, self.label_dropout)
        return solver.states(self.guided(guidance_scale), self.spec.shape, condition=condition, rng=rng)

    def _clamp(self, x: Tensor) -> Tensor:
        return x.clamp(-1, 1) if self.spec[self.spec.data].num_levels else x
