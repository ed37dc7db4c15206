"""Scores of generated samples during training."""

import logging
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from genlab.callbacks.code_metrics import choose_codes, code_scores
from genlab.callbacks.inference import inference
from genlab.callbacks.reconstruction_metrics import choose_reconstruction, reconstruction_scores
from genlab.callbacks.sharded import is_sharded
from genlab.callbacks.shares import gather_rows, rows_of_rank
from genlab.callbacks.throughput import not_counted
from genlab.core import Condition, DataSpec, RandomStreams, UserError, invalid, require, why_no_samples
from genlab.metrics.digits_features import are_digits
from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.extractors import Extractor
from genlab.metrics.reconstruction import RECONSTRUCTION_SCORES
from genlab.metrics.reference import default_extractor, gather_data, reference_set
from genlab.metrics.sample_set import SampleSet, describe
from genlab.metrics.scene import Scene
from genlab.metrics.scores import METRICS, compute, known

SLOW = ("c2st", "sinkhorn")  # a second or more: computed only where asked for
FEW_TRAINING_VALUES = 10_000_000  # up to here, distances to all training data take no time

log = logging.getLogger(__name__)


class GenerativeMetrics(Callback):
    """Logs `val/fid` and its kin at validations, of samples under averaged weights; of codes, `val/mig` and its kin.

    Sample i has the noise of stream (seed, i) and the label of the i-th reference sample, in blocks dealt to
    the ranks, and the scores are computed on rank 0: the answer does not depend on the number of processes.
    Training is left as it was: its random numbers, each submodule's mode, its weights. A validation computes
    the scores when `trainer.global_step` has reached or passed a multiple of `every_n_steps` since the last
    time; `lightning validate` always does.

    Args:
        every_n_steps: optimiser steps; 0 turns the metrics off.
        num: samples, and as many reference samples; less where the split has fewer.
        metrics: "auto" (all that the family and the data allow, without the slow ones) or names:
            fid, kid, is, prdc, c2st, memory, histogram, agreement, judge, swd, sinkhorn; of a family that encodes,
            on data whose factors are known, beta_vae, factor_vae, mig, sap, dci, modularity; of one that reconstructs
            images, psnr, ssim, lpips; of one that restores them, denoising.
        extractor: of features; None is the digits classifier for digits, Inception-v3 for other images, and
            the values themselves for other data.
        split: the reference.
        batch_size: samples per block.
        seed: of the random streams.

    Raises:
        UserError: a number is out of range, a metric is unknown, or one is asked for that can't be had.
    """

    def __init__(
        self,
        every_n_steps: int = 2000,
        num: int = 1000,
        metrics: Literal["auto"] | list[str] = "auto",
        extractor: Extractor | None = None,
        split: Literal["train", "val", "test"] = "val",
        batch_size: int = 250,
        seed: int = 0,
    ):
        require(every_n_steps >= 0, "metrics.every_n_steps", every_n_steps, "0 or more", "pass 0 for none")
        require(num > 5, "metrics.num", num, "at least 6 samples", "pass --metrics.every_n_steps=0 for none")
        require(batch_size > 0, "metrics.batch_size", batch_size, "a positive integer", "pass 250")
        self.every_n_steps, self.num, self.extractor, self.split = every_n_steps, num, extractor, split
        self.metrics = (
            metrics if metrics == "auto" else known(metrics, [*DISENTANGLEMENT, *RECONSTRUCTION_SCORES])
        )
        self.batch_size, self.seed = batch_size, seed
        self._done = 0  # the step of the last scores
        self._enabled = False  # to score samples
        self._codes: list[str] = []  # metrics of codes
        self._pairs: list[str] = []  # metrics of reconstructions
        self._scene: Scene | None = None
        self._extractor: Extractor | None = None
        self._names: list[str] = []

    # ---- when

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._scene = None
        self._enabled, self._codes, self._pairs = False, [], []
        if stage not in ("fit", "validate") or not self.every_n_steps:
            return
        reason = why_not(trainer, pl_module)
        if hasattr(trainer.datamodule, "batches"):
            self._codes = choose_codes(self.metrics, pl_module)
            self._pairs = choose_reconstruction(self.metrics, pl_module)
        if self._of_samples:
            self._enabled = reason is None
            if reason and trainer.is_global_zero and not self._pairs:
                log.warning("metrics: %s: none are computed", reason)
        if self._enabled and self.metrics != "auto":
            refuse_impossible(self._of_samples, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (self._enabled or self._codes or self._pairs) or trainer.sanity_checking:
            return
        step, every = trainer.global_step, self.every_n_steps
        if trainer.state.fn == "fit" and step // every <= self._done // every:
            return
        self._done = step
        for name, value in self.scores(trainer, pl_module).items():
            # The mean of equal values; without it, Lightning warns of each.
            pl_module.log(f"val/{name}", torch.tensor(value), on_epoch=True, batch_size=1, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._done = int(state_dict["done"])

    # ---- what

    @property
    def _of_samples(self) -> list[str]:
        """The metrics that are asked for and are of samples."""
        return [name for name in (METRICS if self.metrics == "auto" else self.metrics) if name in METRICS]

    def scores(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        """The scores of now, equal on all ranks."""
        sizes = self.split, self.num, self.batch_size, self.seed
        of_codes = code_scores(trainer, pl_module, self._codes, *sizes) if self._codes else {}
        of_pairs = reconstruction_scores(trainer, pl_module, self._pairs, *sizes) if self._pairs else {}
        of_samples = self._sample_scores(trainer, pl_module) if self._enabled else {}
        return {**of_codes, **of_pairs, **of_samples}

    def _sample_scores(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
        # An extractor that is built draws initial weights before it gets its own.
        with not_counted(trainer), isolate_rng():
            self._extractor = self._extractor or self.extractor or default_extractor(pl_module.spec)
            count, labels = self._prepare(trainer, pl_module)
            if not self._enabled:
                return {}
            generated = self._generate(trainer, pl_module, count, labels)
            values = compute(self._names, generated, self._scene) if trainer.is_global_zero else {}
            return trainer.strategy.broadcast(values)

    def _prepare(self, trainer: Trainer, pl_module: LightningModule) -> tuple[int, Tensor | None]:
        """Rank 0 gets its scene; all get the number of samples and the labels to ask for."""
        answer: Any = None
        if trainer.is_global_zero:
            try:
                self._scene = self._scene or self._build(trainer, pl_module)
                asked = pl_module.conditional
                answer = len(self._scene.real), self._scene.real.labels if asked else None
            except UserError as error:
                answer = str(error)
        answer = trainer.strategy.broadcast(answer)
        if isinstance(answer, str):
            if self.extractor is not None or self.metrics != "auto":
                raise UserError(answer)
            self._enabled = False
            if trainer.is_global_zero:
                log.warning("metrics: none are computed: %s", answer)
            return 0, None
        return answer

    def _build(self, trainer: Trainer, pl_module: LightningModule) -> Scene:
        data, spec = trainer.datamodule, pl_module.spec
        real = gather_data(data.batches(self.split, num=self.num), spec.data)
        key = {
            "data": spec.name,
            "hash": data.fingerprint(self.split),
            "split": self.split,
            "num": len(real[0]),
        }
        reference = reference_set(real, spec, self._extractor, key, trainer.strategy.root_device)
        wanted = self._of_samples
        few = data.num_samples("train") * spec[spec.data].num_values <= FEW_TRAINING_VALUES
        train = None
        if self.metrics != "auto" or few:
            needs = {need for name in wanted for need in METRICS[name].needs}
            train = gather_data(data.batches("train"), spec.data) if "training data" in needs else None
        scene = Scene(spec, reference, train, self.seed)
        self._names = self._available(wanted, scene, pl_module)
        return scene

    def _available(self, wanted: list[str], scene: Scene, pl_module: LightningModule) -> list[str]:
        asked = scene.real.labels is not None and pl_module.conditional
        logits = scene.real.logits is not None
        missing = {name: METRICS[name].missing(scene, logits=logits, asked=asked) for name in wanted}
        if self.metrics == "auto":
            return [name for name in wanted if not missing[name] and name not in SLOW]
        have = ", ".join(
            name for name in METRICS if not METRICS[name].missing(scene, logits=logits, asked=asked)
        )
        for name, needs in missing.items():
            if needs:
                raise invalid("metrics.metrics", name, f"some of {have}", f"{name} needs {', '.join(needs)}")
        return wanted

    def _generate(
        self, trainer: Trainer, pl_module: LightningModule, count: int, labels: Tensor | None
    ) -> SampleSet | None:
        """All ranks' samples with their features, on rank 0 in their order."""
        device, modality = trainer.strategy.root_device, pl_module.spec[pl_module.spec.data]
        sets = []
        together = is_sharded(pl_module)  # then no rank can draw a block that the others do not
        rank, size = (0, 1) if together else (trainer.global_rank, trainer.world_size)
        for rows in rows_of_rank(count, self.batch_size, rank, size):
            asked = None if labels is None else labels[rows.start : rows.stop]
            condition = None if asked is None else Condition(label=asked.to(device))
            with inference(trainer, pl_module):
                rng = RandomStreams(self.seed, rows, device)
                x = pl_module.sample(len(rows), condition=condition, rng=rng)
            sets.append(describe(x, asked, modality, self._extractor, device=device))
        if together:
            return SampleSet.cat(sets) if trainer.is_global_zero else None
        return gather_rows(trainer, sets, count, self.batch_size)


def refuse_impossible(names: list[str], pl_module: LightningModule) -> None:
    """Refuse, before anything is trained, what this family can't be scored by on this data.

    Raises:
        UserError: naming the metric, what it needs, and those that can be had.
    """
    spec = pl_module.spec
    lacks = set() if are_digits(spec) else {"digits"}
    lacks |= set() if spec.num_classes else {"labelled data"}
    lacks |= {"vectors"} if len(spec[spec.data].shape) != 1 else set()
    lacks |= set() if pl_module.conditional else {"asked labels"}
    have = ", ".join(name for name, metric in METRICS.items() if not lacks & set(metric.needs))
    for name in names:
        missing = [need for need in METRICS[name].needs if need in lacks]
        if missing:
            raise invalid("metrics.metrics", name, f"some of {have}", f"{name} needs {', '.join(missing)}")


def why_not(trainer: Trainer, pl_module: LightningModule) -> str | None:
    """Why this model can't be scored here, or None."""
    if not isinstance(getattr(pl_module, "spec", None), DataSpec):
        return f"{type(pl_module).__name__} has no spec of its data"
    if lacks := why_no_samples(pl_module):
        return lacks
    return None if hasattr(trainer.datamodule, "batches") else "the data are no DataModule of genlab"
