"""What models of a frozen encoder's latents share: the latents are scaled, and samples of them decoded."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genlab.core import CanDecode, CanEncode, DataSpec, Frozen, require
from genlab.families.parts import PartFactory
from genlab.families.two_stage import TwoStage

NUM_MEASURED = 50_000  # training data of whose latents mean and deviation are measured, at most


class ScaledLatents(TwoStage):
    """Base of families with a prior of scaled latents z = (encode(x) - mean) / std; samples are decode(mean + std z).

    Mean and standard deviation are measured once, when training starts, of the training data's latents: per
    channel of a map, per dimension of a vector. The first stage is frozen: the checkpoint of the whole holds its
    averaged weights, and training leaves them alone.

    Args:
        spec: of the data.
        first_stage: a trained model that can encode and decode these data.
        prior: makes, from the spec of the latents and of the data's conditions, the family that is trained. Its
            optimiser and schedule are those of the training.

    Raises:
        UserError: the first stage can't encode and decode, is of other data, or gives latents that are not finite;
            the prior has no losses or can't sample.
    """

    needs = (CanEncode, CanDecode)

    def __init__(self, spec: DataSpec | dict[str, Any], first_stage: Frozen, prior: PartFactory):
        super().__init__(spec, first_stage, prior)
        shape = self.latent_spec.shape
        per_channel = (shape[0], *[1] * (len(shape) - 1))
        self.register_buffer("mean", torch.zeros(per_channel))
        self.register_buffer("std", torch.ones(per_channel))
        self.register_buffer("num_measured", torch.tensor(0))
        self.check_parts()

    def encoder(self) -> CanEncode:
        """The model itself, whose first stage is on its device."""
        return self

    @property
    def latent_spec(self) -> DataSpec:
        """The first stage's."""
        return self.first_stage.model.latent_spec

    def check_parts(self) -> None:
        """Refuse a first stage whose latents are not finite, as soon as it has its weights."""
        if self.first_stage.whole:  # else they come with its run, or with the checkpoint that is loaded next
            probe = torch.rand(4, *self.spec.shape, device=self.mean.device) * 2 - 1
            self._check_finite(self.encode(probe))

    def on_train_start(self) -> None:
        if not self.num_measured:
            self._measure(self.trainer.datamodule)

    def encode(self, x: Tensor) -> Tensor:
        """The first stage's latents of x, not scaled."""
        with torch.no_grad():
            return self.first_stage.model.encode(x.to(self.mean.device)).float()

    def decode(self, z: Tensor) -> Tensor:
        """The first stage's data of latents that are not scaled."""
        with torch.no_grad():
            return self.first_stage.model.decode(z)

    def to_scaled(self, x: Tensor) -> Tensor:
        """(encode(x) - mean) / std, what the prior is of."""
        return (self.encode(x) - self.mean) / self.std

    def from_scaled(self, z: Tensor) -> Tensor:
        """decode(mean + std z)."""
        return self.decode(self.mean + self.std * z)

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the first stage leaves of x."""
        return self.decode(self.encode(x))

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The prior's, of scaled latents: the batch's, where it holds them, else those of its data."""
        z = (self._latents(batch) - self.mean) / self.std
        return self.prior.losses(phase, {**batch, self.latent: z})

    def shown(self, x: Tensor) -> Tensor:
        """The first stage's data of scaled latents."""
        return self.from_scaled(x)

    def _latents(self, batch: dict[str, Tensor]) -> Tensor:
        return batch[self.latent] if self.latent in batch else self.encode(self.data_of(batch))

    def _check_finite(self, z: Tensor) -> None:
        ok = bool(z.isfinite().all())
        remedy = "choose another checkpoint of it"
        require(ok, "first_stage", "latents that are not finite", "a first stage that has learned", remedy)

    def _measure(self, data: Any) -> None:
        count, total, squares = 0, torch.zeros_like(self.mean).double(), torch.zeros_like(self.mean).double()
        for batch in self._training_batches(data):
            z = self._latents(batch).to(self.mean.device)
            self._check_finite(z)
            over = (0, *range(2, z.ndim))
            count += z.numel() // z.shape[1]
            total += z.double().sum(over).view_as(total)
            squares += z.double().square().sum(over).view_as(total)
        mean = total / count
        self.mean.copy_(mean)
        self.std.copy_((squares / count - mean.square()).clamp(min=1e-12).sqrt())
        self.num_measured.fill_(count)

    def _training_batches(self, data: Any) -> Iterator[dict[str, Tensor]]:
        """The training data as they are kept: with their latents, where these were made before."""
        source = data.source("train")
        return source.stream(torch.arange(min(len(source), NUM_MEASURED)).split(256))
