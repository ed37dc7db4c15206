"""Generative adversarial networks (Goodfellow et al. 2014), of any loss, regularisers and networks."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, RandomStreams, require
from genlab.families.alternating import Alternating, Loss
from genlab.families.base import NetworkFactory, OptimizerFactory
from genlab.families.schedules import Schedule
from genlab.objectives import AdversarialObjective


class GAN(Alternating):
    """A generator x = G(z, y), z ~ N(0, I), against a critic D(x, y); y is the class, where data have one.

    Each batch gives the critic one step; every `num_critic_steps`-th gives the generator one too, with its
    own latents. `trainer.global_step` counts the generator's steps, and both learning rates follow the
    schedule by these. Lightning refuses accumulation and clipping by the trainer here: they are arguments.

    Args:
        spec: of the data.
        generator: makes G from the spec: (z, condition) -> data, with an attribute `latent_dim`.
        critic: makes D from the spec: (x, condition) -> (B,). It must not mix samples (no batch norm).
        objective: loss, regularisers and augmentation.
        optimizer: factory of the generator's optimiser.
        critic_optimizer: factory of the critic's; None for the same as the generator's.
        schedule: of both learning rates.
        num_critic_steps: critic's steps per generator's step.
        num_microbatches: parts of a batch whose gradients are accumulated, to save memory.
        generator_clip: largest norm of the generator's gradient; None for any.
        critic_clip: largest norm of the critic's gradient; None for any.
        dequantise: add uniform noise within its level's bin to each value of the data, so that the critic
            can't tell them by their levels.

    Raises:
        UserError: a count or a norm is not positive; `dequantise` on data without levels; a strategy that
            shards the weights and is not genlab's.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        generator: NetworkFactory,
        critic: NetworkFactory,
        objective: AdversarialObjective | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        critic_optimizer: OptimizerFactory | None = None,
        schedule: Schedule | None = None,
        num_critic_steps: int = 1,
        num_microbatches: int = 1,
        generator_clip: float | None = None,
        critic_clip: float | None = None,
        dequantise: bool = False,
    ):
        super().__init__(spec, optimizer, schedule)
        for name, value in {"generator_clip": generator_clip, "critic_clip": critic_clip}.items():
            require(value is None or value > 0, name, value, "a positive number", "raise it")
        clips = (generator_clip, critic_clip)
        self.take_turns(critic_optimizer, num_critic_steps, num_microbatches, clips, dequantise)
        self.generator = generator(self.spec)
        self.critic = critic(self.spec)
        self.objective = objective or AdversarialObjective()

    def critic_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        with torch.no_grad():
            fake = self._generate(x, condition)
        return self.objective.critic(self.critic, x, fake, condition, step)

    def model_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        return self.objective.generator(self.critic, self._generate(x, condition), condition)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._held_out("val", batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._held_out("test", batch)

    def _held_out(self, phase: str, batch: dict[str, Tensor]) -> None:
        """The game on held-out data; an overfitted critic values them lower than it does training data."""
        x, condition = self.batch_parts(batch)
        fake = self._generate(x, condition)
        plain = self.objective.unregularised()
        _, terms = plain.critic(self.critic, x, fake, condition)
        terms |= plain.generator(self.critic, fake, condition)[1]
        self.log_terms(phase, terms, batch)

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Data (num_samples, *spec.shape) in [-1, 1]; without a condition, of classes drawn evenly.

        Raises:
            UserError: rng or the condition are for another number of samples, or the data have no classes.
        """
        self.check_request(num_samples, condition, rng)
        rng = rng.to(self.device)
        z = rng.normal((self.generator.latent_dim,))
        condition = self.condition_or_drawn(condition, rng)
        with self.evaluating():
            return self.generator(z, condition)

    def sampling_protocol(self) -> dict[str, object]:
        return {"solver": "generator", "nfe": 1}

    def _generate(self, x: Tensor, condition: Condition | None) -> Tensor:
        """As many generated data as there are in x, from new latents."""
        return self.generator(torch.randn(len(x), self.generator.latent_dim, device=x.device), condition)
