"""What all families share: the spec, the optimiser's factory, the names under which losses are logged."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genlab.core import Condition, DataSpec, HasForcedWeights, RandomStreams, batch_size, require
from genlab.core.condition import MODALITIES
from genlab.families.requests import Dropout, check_condition, dropout_of, droppable
from genlab.families.schedules import Constant, Schedule

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
NetworkFactory = Callable[[DataSpec], nn.Module]


class GenerativeModel(pl.LightningModule):
    """Base of every family.

    Args:
        spec: of the data, a DataSpec or its dictionary; the command line links it from `data`.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate, as a factor of the optimiser's own rate; None is constant.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__()
        self.spec = DataSpec.of(spec)
        self.optimizer = optimizer
        self.schedule = schedule or Constant()

    label_dropout: Dropout = 0.0  # share of training samples that lose their condition

    @property
    def conditions(self) -> tuple[str, ...]:
        """Kinds of condition that samples can be asked for by: by default the class, where the data have classes."""
        return ("label",) if self.spec.num_classes > 0 else ()

    @property
    def learned_conditions(self) -> tuple[str, ...]:
        """Those that training sees."""
        return self.conditions

    @property
    def conditional(self) -> bool:
        """Whether samples can be asked for by class."""
        return "label" in self.conditions

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """Those that training never loses, so that nothing was learned without them; classes can be drawn."""
        lost = droppable(self.conditions, self.label_dropout)
        return tuple(kind for kind in self.conditions if kind != "label" and kind not in lost)

    def configure_model(self) -> None:
        """Shard the weights over the ranks, where the trainer's strategy does that."""
        if shard := getattr(self.trainer.strategy, "shard", None):
            shard(self)

    @cached_property
    def _forced(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, HasForcedWeights)]

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Put weights in order that are to be so in each step; those of frozen parts are as they are."""
        for module in self._forced:
            if module.training:
                module.force_weights()

    def configure_optimizers(self) -> dict[str, Any]:
        return self.scheduled(self.optimizer(p for p in self.parameters() if p.requires_grad))

    def scheduled(self, optimizer: Optimizer) -> dict[str, Any]:
        """Lightning's dictionary for an optimiser whose rate follows the schedule, step by step."""
        images = self.images_per_step() if self.schedule.unit == "images" else 1
        rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.schedule.factor(step * images))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

    def images_per_step(self) -> int:
        """Samples per optimiser step over all ranks."""
        return self.trainer.datamodule.batch_size * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Tell parts that follow a curriculum (those with `count_step`) of the step, not of its micro-batches."""
        for part in self.modules():
            if part.training and hasattr(
                type(part), "count_step"
            ):  # on the class: a module's own lookup is slow
                part.count_step()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self._step("train", batch)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._step("val", batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self._step("test", batch)

    def _step(self, phase: str, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a family that has `losses`, all of which are logged."""
        terms = self.losses(phase, batch)
        self.log_terms(phase, terms, batch)
        return terms["loss"]

    def data_of(self, batch: dict[str, Tensor]) -> Tensor:
        """What is generated: the batch's entry for the spec's first modality."""
        return batch[self.spec.data]

    def condition_of(self, batch: dict[str, Tensor]) -> Condition | None:
        """The batch's conditions: those of its modalities that the model learns from as such; None without any."""
        names = {kind: name for kind, name in MODALITIES.items() if kind in self.learned_conditions}
        names |= {"token_mask": "token_mask"} if "tokens" in names else {}
        there = {kind: name for kind, name in names.items() if name in batch and name != self.spec.data}
        return Condition(**{kind: batch[name] for kind, name in there.items()}) if there else None

    def check_request(self, num: int, condition: Condition | None, rng: RandomStreams) -> None:
        """Refuse noise or conditions that are not for `num` samples of this model.

        Raises:
            UserError: their number is another, the model takes no such condition or lacks one that it needs, there
                is no such class or token, or a condition has another shape than in the data.
        """
        require(len(rng) == num, "rng", f"{len(rng)} streams", f"{num}", "one per sample")
        if condition is not None:
            expected = "none: this model is unconditional"
            require(bool(self.conditions), "condition", type(condition).__name__, expected, "leave it out")
            check_condition(condition, num, self.spec, self.conditions)
        given = () if condition is None else condition.kinds
        for kind in self.needed_conditions:
            expected, remedy = f"{kind} as well, which training never loses", "give one per sample"
            require(kind in given, "condition", ", ".join(given) or "none", expected, remedy)

    def condition_or_drawn(
        self, condition: Condition | None, rng: RandomStreams, label_dropout: Dropout = 0.0
    ) -> Condition | None:
        """What samples are drawn under: the condition that is asked for, and where it has no classes, even ones.

        Args:
            condition: that is asked for, if any.
            rng: one stream per sample, where classes come from; its device is the answer's.
            label_dropout: of the training. A model that at times loses its labels there has learned to do without
                them; the null embedding of another is as it was at the start.
        """
        condition = None if condition is None else condition.to(rng.device)
        told = condition is not None and condition.label is not None
        if told or not self.conditional or dropout_of("label", label_dropout) > 0:
            return condition
        return replace(condition or Condition(), label=rng.integers(self.spec.num_classes))

    def check_parts(self) -> None:
        """Refuse frozen parts that do not work, once they have their weights and before data are read.

        Raises:
            UserError: naming the part; by default nothing is asked of them.
        """

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No gradients and no dropout; afterwards each submodule is in the mode that it was in."""
        modes = {module: module.training for module in self.modules()}
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for module, mode in modes.items():
                module.training = mode

    def log_terms(self, phase: str, terms: dict[str, Tensor], batch: dict[str, Tensor]) -> None:
        """Log `{phase}/{name}` for each term: per step in training, as the mean over the set elsewhere.

        What reaches the loggers is the mean over all ranks, which for the steps in between costs nothing.
        """
        train = phase == "train"
        values = {f"{phase}/{name}": value.detach() for name, value in terms.items()}
        trainer = self._trainer
        if train and trainer and trainer.world_size > 1 and trainer._logger_connector.should_update_logs:
            together = torch.stack([value.float() for value in values.values()])
            mean = trainer.strategy.reduce(together, reduce_op="mean")
            values = dict(zip(values, mean.unbind(), strict=True))
        self.log_dict(
            values,
            on_step=train,
            on_epoch=not train,
            prog_bar=train,
            # Lightning averages the ranks' counts in their own type: whole numbers would be rounded down.
            batch_size=float(batch_size(batch)),
            sync_dist=not train,
        )
