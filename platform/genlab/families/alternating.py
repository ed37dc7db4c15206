"""Two players that step in turn: a model, and a critic that is fitted to what the model does."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.core import Condition, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.ranks import average_over_ranks

Loss = tuple[Tensor, dict[str, Tensor]]


class Alternating(GenerativeModel):
    """Base of families with a critic. Each batch gives the critic one step; every n-th the model one too.

    `trainer.global_step` counts the model's steps, and both learning rates follow the schedule by these.
    Lightning refuses accumulation and clipping by the trainer here: they are arguments.

    A subclass calls `take_turns`, has a `critic`, and gives `critic_loss` and `model_loss`.
    """

    automatic_optimization = False

    def take_turns(
        self,
        critic_optimizer: OptimizerFactory | None = None,
        num_critic_steps: int = 1,
        num_microbatches: int = 1,
        clips: tuple[float | None, float | None] = (None, None),
        dequantise: bool = False,
    ) -> None:
        """Set whose turn it is, and how gradients are gathered.

        Args:
            critic_optimizer: factory of the critic's optimiser; None for the same as the model's.
            num_critic_steps: critic's steps per step of the model.
            num_microbatches: parts of a batch whose gradients are accumulated, to save memory.
            clips: largest norms of the model's and of the critic's gradient; None for any.
            dequantise: add uniform noise within its level's bin to each value of the data, so that the critic can't
                tell them by their levels.

        Raises:
            UserError: a count or a norm is not positive; `dequantise` on data without levels.
        """
        counts = {"num_critic_steps": num_critic_steps, "num_microbatches": num_microbatches}
        for name, value in counts.items():
            require(value > 0, name, value, "a positive number", "raise it")
        for clip in clips:
            require(clip is None or clip > 0, "clip", clip, "a positive number", "use null for none")
        self.critic_optimizer = critic_optimizer or self.optimizer
        self.num_critic_steps, self.num_microbatches = num_critic_steps, num_microbatches
        self.clips = clips
        can = self.spec[self.spec.data].num_levels > 0 or not dequantise
        require(can, "dequantise", True, "data with levels", "pass dequantise=False")
        self.dequantise = dequantise

    def averaged_modules(self) -> list[str]:
        """All but the critic."""
        return [name for name, _ in self.named_children() if name != "critic"]

    def players(self) -> tuple[Iterable[nn.Parameter], Iterable[nn.Parameter]]:
        """The model's parameters, and the critic's."""
        model = [p for name in self.averaged_modules() for p in self.get_submodule(name).parameters()]
        return model, self.critic.parameters()

    @abstractmethod
    def critic_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        """What the critic minimises on data x, and its terms; `step` counts the critic's steps."""

    @abstractmethod
    def model_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        """What the model minimises on data x, and its terms; `step` counts the critic's steps."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        strategy = self.trainer.strategy
        known = (
            self.trainer.world_size == 1 or isinstance(strategy, DDPStrategy) or hasattr(strategy, "shard")
        )
        name = type(strategy).__name__
        require(known, "trainer.strategy", name, "ddp or genlab's Sharded for two networks", "pass ddp")

    def configure_optimizers(self) -> list[dict[str, Any]]:
        model, critic = self.players()
        return [self.scheduled(self.optimizer(model)), self.scheduled(self.critic_optimizer(critic))]

    def images_per_step(self) -> int:
        return super().images_per_step() * self.num_critic_steps

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        # Completed batches of all epochs: unlike `batch_idx`, goes on where an epoch ends or a run resumes.
        step = self.trainer.fit_loop.epoch_loop.batch_progress.total.completed
        model_optimizer, critic_optimizer = self.optimizers(use_pl_optimizer=False)
        terms = self._gradients(self.critic_loss, critic_optimizer, batch, step)
        # Past Lightning's wrapper, which would count this step in `trainer.global_step`.
        self.trainer.strategy.optimizer_step(critic_optimizer, lambda: None)
        if (step + 1) % self.num_critic_steps == 0:
            terms |= self._gradients(self.model_loss, model_optimizer, batch, step)
            self.optimizers()[0].step()
            for rate in self.lr_schedulers():
                rate.step()
        # Batch norms' running statistics: ranks that differed would sample from different models.
        average_over_ranks(buffer for buffer in self.buffers() if buffer.is_floating_point())
        self.log_terms("train", terms, batch)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip, here, where a gradient scaler has already divided its scale out."""
        clip = self.clips[self.optimizers(use_pl_optimizer=False).index(optimizer)]
        if clip:
            self.clip_gradients(optimizer, gradient_clip_val=clip, gradient_clip_algorithm="norm")

    def batch_parts(self, batch: dict[str, Tensor]) -> tuple[Tensor, Condition | None]:
        """Data and conditions of a batch, as the losses are to see them."""
        x = self.data_of(batch)
        x = self.spec[self.spec.data].dequantise(x) if self.dequantise else x
        return x, self.condition_of(batch)

    def _gradients(
        self, loss: Callable[..., Loss], optimizer: Optimizer, batch: dict[str, Tensor], step: int
    ) -> dict[str, Tensor]:
        """Fill the gradients of this optimiser's parameters alone; the terms of the whole batch."""
        optimizer.zero_grad()
        terms: dict[str, Tensor] = {}
        # DDP's reducer expects every parameter's gradient in each backward pass; here half of them have none.
        with self.toggled_optimizer(optimizer), self._unsynchronised():
            for x, condition, share in self._microbatches(batch):
                value, parts = loss(x, condition, step)
                self.manual_backward(share * value)
                terms = {k: terms.get(k, 0) + share * part.detach() for k, part in parts.items()}
        average_over_ranks(p.grad for group in optimizer.param_groups for p in group["params"])
        return terms

    def _microbatches(self, batch: dict[str, Tensor]) -> Iterator[tuple[Tensor, Condition | None, float]]:
        x, condition = self.batch_parts(batch)
        for rows in torch.arange(len(x), device=x.device).chunk(self.num_microbatches):
            yield x[rows], None if condition is None else condition[rows], len(rows) / len(x)

    def _unsynchronised(self) -> AbstractContextManager[None]:
        return self.trainer.strategy.block_backward_sync() if self.trainer.world_size > 1 else nullcontext()
