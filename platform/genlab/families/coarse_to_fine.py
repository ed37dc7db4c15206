"""Priors of tokens at several resolutions, each given the coarser ones (Razavi et al. 2019)."""

from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import (
    CanSample,
    Codebooks,
    Condition,
    DataSpec,
    HasLogProb,
    HasLosses,
    LogProb,
    ModalitySpec,
    RandomStreams,
    derive_seed,
    require,
)
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.parts import PartFactory, averaged_part, check_part, check_untrained
from genlab.families.requests import dropout_of, droppable
from genlab.families.schedules import Schedule


class CoarseToFine(GenerativeModel):
    """p(k) = p(k_1 | c) prod_m p(k_m | k_1, ..., k_{m-1}, c) of a hierarchy's tokens, each level by a model of its own.

    A level's data are its own grid; what is coarser is its condition `tokens`, one sequence. They are trained together
    by the sum of their losses, which have no weights in common.

    Args:
        spec: of the tokens, a sequence of grids, coarse to fine, as a `HierarchicalQuantiser`'s.
        coarse: makes, from the spec of the coarsest level, its family: an `Autoregressive`.
        fine: makes that of each finer level; it must read tokens. Both leave optimiser and schedule to this family.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: tokens that are no sequence of grids; a level's family that lacks a capability, does not read
            the coarser tokens or loses them in training, or has an optimiser or a schedule of its own.

    Source: Razavi et al. 2019, "Generating diverse high-fidelity images with VQ-VAE-2", section 3.2, algorithm 2.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        coarse: PartFactory,
        fine: PartFactory,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        tokens = self.spec[self.spec.data]
        expected, remedy = "tokens of several grids", "use a first stage with a HierarchicalQuantiser"
        require(len(tokens.grids) >= 2, "spec", f"tokens of shape {tokens.shape}", expected, remedy)
        self.codebooks = Codebooks(tokens.num_classes, tokens.grids)
        specs = [self._spec(level) for level in range(self.codebooks.num_levels)]
        self.levels = nn.ModuleList((coarse if m == 0 else fine)(own) for m, own in enumerate(specs))
        for m, level in enumerate(self.levels):
            check_part("fine" if m else "coarse", level, HasLosses, CanSample, HasLogProb)
            reads = m == 0 or "tokens" in level.conditions
            expected, remedy = (
                "a model that reads the coarser tokens",
                "use a TokenTransformer with conditional: true",
            )
            require(reads, "fine", f"conditions {level.conditions}", expected, remedy)
            loses = m > 0 and "tokens" in droppable(level.conditions, level.label_dropout)
            expected, remedy = "one that never loses the coarser tokens", "use for example {label: 0.1}"
            require(not loses, "fine.label_dropout", level.label_dropout, expected, remedy)
            check_untrained("fine" if m else "coarse", level)

    def _spec(self, level: int) -> DataSpec:
        """Of a level's tokens and of what they are conditioned on."""
        codes = self.codebooks.num_codes
        modalities = {"codes": ModalitySpec(self.codebooks.grids[level], num_classes=codes)}
        modalities |= {name: m for name, m in self.spec.modalities.items() if name != self.spec.data}
        if level:
            modalities["tokens"] = ModalitySpec((self._before(level),), num_classes=codes)
        return DataSpec(self.spec.name, modalities)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those of the coarsest level."""
        return self.levels[0].conditions

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """Those of the coarsest level."""
        return self.levels[0].needed_conditions

    def averaged_modules(self) -> list[str]:
        return [name for m, level in enumerate(self.levels) for name in averaged_part(f"levels.{m}", level)]

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The sum of the levels' losses, bits per token, and those of each level, from the coarsest one on."""
        tokens = self.data_of(batch)
        others = {name: x for name, x in batch.items() if name != self.spec.data}
        all_terms = []
        for m, (level, codes) in enumerate(zip(self.levels, self.codebooks.split(tokens), strict=True)):
            own = {"codes": codes, **others} | self._coarser(tokens, m)
            all_terms.append(level.losses(phase, own))
        loss = sum(terms["loss"] for terms in all_terms)
        shares = [length / self.codebooks.num_tokens for length in self.codebooks.lengths]
        bits = sum(share * terms["bpd"] for share, terms in zip(shares, all_terms, strict=True))
        return {
            "loss": loss,
            "bpd": bits,
            **{f"bits_per_token_{m + 1}": terms["bpd"] for m, terms in enumerate(all_terms)},
        }

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Tokens (num_samples, L), level by level.

        Raises:
            UserError: rng or the condition are for another number of samples, or the model is unconditional.
        """
        self.check_request(num_samples, condition, rng)
        streams = self._streams(rng)
        # Classes are left out only where no level that takes them has always had them in training.
        told = [level for level in self.levels if "label" in level.conditions]
        lost = min((dropout_of("label", getattr(m, "label_dropout", 0.0)) for m in told), default=0.0)
        condition = self.condition_or_drawn(condition, streams.pop(), lost)
        found = torch.zeros(num_samples, 0, dtype=torch.int64, device=self.device)
        for m, (level, own) in enumerate(zip(self.levels, streams, strict=False)):
            given = self._given(condition, found, m)
            tokens = level.sample(num_samples, condition=given, rng=own)
            found = torch.cat([found, tokens.flatten(1)], dim=1)
        return found

    def sampling_protocol(self) -> dict[str, object]:
        """The coarsest level's, and the evaluations of all."""
        protocols = [level.sampling_protocol() for level in self.levels]
        return protocols[0] | {"nfe": sum(int(protocol["nfe"]) for protocol in protocols)}

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(k) in nats, (B,), of tokens (B, L): the levels' sum.

        Args:
            x: tokens.
            condition: of each, or None for the unconditional model.
            rng: nothing is drawn.

        Raises:
            UserError: rng or the condition are for another number of data.
        """
        self.check_request(len(x), condition, rng or RandomStreams(0, len(x)))
        parts = [
            level.log_prob(own, condition=self._given(condition, x, m))
            for m, (level, own) in enumerate(zip(self.levels, self.codebooks.split(x), strict=True))
        ]
        return LogProb(sum(part.nats for part in parts), parts[0].kind, parts[0].measure, parts[0].method)

    def _before(self, level: int) -> int:
        """Tokens of all coarser levels."""
        return sum(self.codebooks.lengths[:level])

    def _coarser(self, tokens: Tensor, level: int) -> dict[str, Tensor]:
        return {"tokens": tokens[:, : self._before(level)]} if level else {}

    def _given(self, condition: Condition | None, tokens: Tensor, level: int) -> Condition | None:
        """The condition of a level: what was asked for, and the coarser tokens."""
        if not level:
            return condition
        if condition is None or "label" not in self.levels[level].conditions:
            return Condition(**self._coarser(tokens, level))
        return Condition(label=condition.label, keep=dict(condition.keep), **self._coarser(tokens, level))

    def _streams(self, rng: RandomStreams) -> list[RandomStreams]:
        """Of each level, and one more."""
        seeds = [derive_seed(rng.seed, rng.draws, f"level {m}") for m in range(len(self.levels) + 1)]
        return [RandomStreams(seed, rng.indices, self.device) for seed in seeds]
