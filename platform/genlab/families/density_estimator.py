"""A density of vectors whose likelihood is known: what is fitted to an autoencoder's latents, or to points."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, LogProb, RandomStreams, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.schedules import Schedule
from genlab.networks import ClassDensityFactory, MixtureDensity
from genlab.probability import bits_per_dimension

MOST = 50_000  # training data that a density is started from


class DensityEstimator(GenerativeModel):
    """p(x | c) of vectors x, trained for its likelihood, which is exact.

    Before the first step the density takes what it can from the training data themselves: a mixture is fitted by
    expectation maximisation, and so is the base of a flow.

    Args:
        spec: of the data.
        density: makes it from the spec.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        density: ClassDensityFactory = MixtureDensity,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        self.density = density(self.spec)
        self.register_buffer("started", torch.tensor(False))

    def averaged_modules(self) -> list[str]:
        return ["density"]

    def on_train_start(self) -> None:
        if not self.started:
            data = self.trainer.datamodule
            self.start(data.batches("train", num=MOST))

    def start(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Let the density begin at what batches of training data say.

        Raises:
            UserError: they are not finite.
        """
        parts = [(self._flat(batch), self._labels(batch)) for batch in batches]
        x, label = (torch.cat(column) for column in zip(*parts, strict=True))
        require(bool(x.isfinite().all()), "data", "values that are not finite", "numbers", "look at the data")
        self.density.start(x, label)
        self.started.fill_(True)

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss`, the mean of -log p(x | c) in nats, and `bpd`, that in bits per dimension."""
        log_prob = self.density.log_prob(self._flat(batch), self._labels(batch))
        bits = bits_per_dimension(log_prob, self.spec[self.spec.data])
        return {"loss": -log_prob.mean(), "bpd": bits.mean()}

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(x | c) in nats, (B,); without a class log (1/C) sum_c p(x | c).

        Args:
            x: data, (B, ...).
            condition: the class of each, or None.
            rng: nothing is drawn.

        Raises:
            UserError: rng or the condition are for another number of data.
        """
        self.check_request(len(x), condition, rng or RandomStreams(0, len(x)))
        with self.evaluating():
            x = x.flatten(1)
            if condition is not None:
                nats = self.density.log_prob(x, condition.label)
            else:
                classes = torch.arange(self.density.num_classes, device=x.device)
                each = [self.density.log_prob(x, c.expand(len(x))) for c in classes]
                nats = torch.stack(each).logsumexp(0) - torch.tensor(float(len(each))).log()
        return LogProb(nats, "exact", "density", type(self.density).__name__)

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """New data (num_samples, *spec.shape), of the classes that are asked for, else of all of them evenly.

        Raises:
            UserError: rng or the condition are for another number of samples, or there are no classes.
        """
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        label = rng.integers(self.density.num_classes) if condition is None else condition.label
        with self.evaluating():
            return self.density.sample(label.to(self.device), rng).view(num_samples, *self.spec.shape)

    def sampling_protocol(self) -> dict[str, object]:
        return {"solver": "exact", "nfe": 1, "density": type(self.density).__name__}

    def _flat(self, batch: dict[str, Tensor]) -> Tensor:
        return self.data_of(batch).flatten(1).to(self.started.device)

    def _labels(self, batch: dict[str, Tensor]) -> Tensor:
        x = self.data_of(batch)
        there = self.spec.num_classes > 0
        return (batch["label"] if there else torch.zeros(len(x), dtype=torch.int64)).to(self.started.device)
