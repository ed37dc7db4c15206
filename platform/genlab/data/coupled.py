"""Data that a trained flow makes, each with the noise that it was made from."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import (
    Condition,
    DataSpec,
    Frozen,
    ModalitySpec,
    RandomStreams,
    derive_seed,
    require,
    require_same_data,
    why_no_samples,
)
from genlab.data.base import GenerativeDataModule, Split
from genlab.data.derived import Derived
from genlab.data.in_memory import InMemory
from genlab.solvers import is_deterministic

CHUNK = 250  # pairs that are made at once


class Coupled(Derived):
    """Another data set whose training batches are a trained model's pairs of `noise` and the sample made from it.

    A flow that is trained on them is straighter (reflow), and needs fewer steps. Pairs are made once and kept on disk,
    under the teacher's weights, its sampler and the seed.

    Args:
        data: the data set of the teacher; its batch size and device are used.
        teacher: a diffusion model with a deterministic solver, which is used with its own guidance.
        num_pairs: for training; validation and test get as many as the data set has there, at most.
        shard_size: pairs per file.
        seed: of the pairs' noise.

    Raises:
        UserError: a number is not positive, the teacher is no diffusion model, is of other data or draws noise on the
            way; when pairs are made, its weights are not there.

    Source: Liu et al. 2023, "Flow straight and fast", section 2.1 and algorithm 1.
    """

    def __init__(
        self,
        data: GenerativeDataModule,
        teacher: Frozen,
        num_pairs: int = 10_000,
        shard_size: int = 1000,
        seed: int = 0,
    ):
        require(num_pairs >= 1, "num_pairs", num_pairs, "a positive integer", "raise it")
        model, kind = teacher.model, data.spec.data
        able = hasattr(model, "solver") and hasattr(model, "path")
        require(able, "teacher", type(model).__name__, "a diffusion model", "pass another run")
        require_same_data("teacher", model.spec, data.spec, classes=model.conditional)
        lacks, name = why_no_samples(model), type(model).__name__
        require(not lacks, "teacher", name, "a model that can sample", f"{lacks}: pass another run")
        solver, expected = type(model.solver).__name__, "a teacher whose solver draws no noise on its way"
        require(
            is_deterministic(model.solver, model.path), "teacher", solver, expected, "train one with Heun"
        )
        noise = ModalitySpec(data.spec.shape)
        spec = DataSpec(data.spec.name, {**data.spec.modalities, "noise": noise})
        super().__init__(data, spec, shard_size)
        self.teacher, self.num_pairs, self.seed = teacher, num_pairs, seed
        self._pair_spec = DataSpec(spec.name, {**spec.modalities, kind: noise})  # samples have no levels

    def read(self, split: Split) -> InMemory:
        num = self.num_pairs if split == "train" else min(self.num_pairs, self.num_samples(split))
        return InMemory(self._pair_spec, self.made(split, num))

    def key(self, split: Split) -> dict[str, Any]:
        sampler = {k: v for k, v in self.teacher.model.sampling_protocol().items() if k != "nfe"}
        return {"what": "pairs", "teacher": self.teacher.digest, "sampler": sampler, "seed": self.seed}

    def make(self, split: Split, rows: Tensor) -> dict[str, Tensor]:
        self.teacher.require_whole()
        model, device, parts = self.teacher.model.to(self._device()), self._device(), []
        for numbers in rows.split(CHUNK):
            rng = RandomStreams(derive_seed(self.seed, "pairs", split), numbers.tolist(), device)
            labels = {"label": numbers % self.spec.num_classes} if model.conditional else {}
            condition = Condition(label=labels["label"].to(device)) if labels else None
            x_0 = model.sample(len(numbers), condition=condition, rng=rng)
            # The solver reads a copy of the streams, from their first draw on: the noise that it began with.
            parts.append({self.spec.data: x_0.cpu(), **labels, "noise": rng.normal(self.spec.shape).cpu()})
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
