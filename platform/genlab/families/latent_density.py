"""A density fitted to a trained autoencoder's latents afterwards, so that it samples."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from genlab.core import DataSpec, Frozen, RandomStreams, StartsFromData
from genlab.families.parts import PartFactory, check_part
from genlab.families.scaled_latents import ScaledLatents


class LatentDensity(ScaledLatents):
    """A density p(z | c) of a frozen first stage's scaled latents, and samples x = decode(mean + std z).

    The first stage is any that encodes and decodes: an `Autoencoder`, or a `VAE`, whose aggregate posterior then takes
    its prior's place.

    Args:
        spec: of the data.
        first_stage: a trained model that can encode and decode these data.
        prior: makes, from the spec of the latents and of the data's conditions, what is fitted: a
            `DensityEstimator`. Its optimiser and schedule are those of the training.

    Raises:
        UserError: the first stage can't encode and decode, is of other data, or gives latents that are not finite;
            the prior can't be started from data.

    Source: Ghosh et al. 2020, "From variational to deterministic autoencoders", section 4.
    """

    normal_prior = False

    def __init__(self, spec: DataSpec | dict[str, Any], first_stage: Frozen, prior: PartFactory):
        super().__init__(spec, first_stage, prior)
        check_part("prior", self.prior, StartsFromData)

    def on_train_start(self) -> None:
        super().on_train_start()
        if not self.prior.started:
            self.prior.start(self._scaled(self._training_batches(self.trainer.datamodule)))

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, the mean of -log p(z | c) in nats of scaled latents, which says nothing of the data's bits."""
        return {"loss": super().losses(phase, batch)["loss"]}

    def sample_latents(self, rng: RandomStreams) -> Tensor:
        """One draw of the density per stream, of the shape that `encode` gives; of classes evenly, where it has any."""
        with self.evaluating():
            return self.mean + self.std * self.prior.sample(len(rng), rng=rng)

    def _scaled(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        for batch in batches:
            z = self._latents(batch).to(self.mean.device)
            yield {**batch, self.latent: (z - self.mean) / self.std}
