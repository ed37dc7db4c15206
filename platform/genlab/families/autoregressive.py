"""Autoregressive models of tokens: of a first stage's, of text, or of images' levels."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, LogProb, RandomStreams
from genlab.families.base import GenerativeModel, NetworkFactory, OptimizerFactory
from genlab.families.requests import Dropout, check_dropout, check_guided, droppable
from genlab.families.schedules import Schedule
from genlab.families.token_view import TokenView
from genlab.networks import TokenTransformer
from genlab.objectives import NextToken, next_token_nats
from genlab.probability import bits_per_dimension
from genlab.solvers import AutoregressiveDecoding


class Autoregressive(GenerativeModel):
    """p(x | c) = prod_i p(x_i | x_1, ..., x_{i-1}, c) of tokens, which are drawn one after another.

    Its likelihood is exact. Data are tokens, or have levels, which are the tokens then.

    Args:
        spec: of the data.
        network: factory of the network, tokens and condition -> logits, from the spec of the tokens.
        objective: the training loss; None is the cross-entropy.
        decoding: how tokens are drawn; None is from the model itself.
        label_dropout: share of training samples that lose their condition, for guidance; or the share that loses
            each kind of condition, as {"label": 0.1}.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: data without tokens; a share outside [0, 1]; guidance of a model that never loses its conditions.

    Source: van den Oord et al. 2016, "Pixel recurrent neural networks", eq. 1-2; Esser et al. 2021, eq. 9.

    >>> from functools import partial
    >>> from genlab.core import ModalitySpec
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17)})
    >>> model = Autoregressive(spec, partial(TokenTransformer, depth=1, width=16, num_heads=2))
    >>> x = model.sample(2, rng=RandomStreams(0, 2))
    >>> x.shape, model.log_prob(x).kind, round(model.losses("val", {"image": x})["bpd"].item(), 3)
    (torch.Size([2, 1, 8, 8]), 'exact', 4.087)
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        network: NetworkFactory = TokenTransformer,
        objective: NextToken | None = None,
        decoding: AutoregressiveDecoding | None = None,
        label_dropout: Dropout = 0.1,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        self.view = TokenView(self.spec)
        self.network = network(self.view.spec)
        self.objective = objective or NextToken()
        self.decoding = decoding or AutoregressiveDecoding()
        self.label_dropout = label_dropout
        check_dropout(label_dropout, self.conditions)
        check_guided(self.decoding.guidance_scale, self.conditions, label_dropout)

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those of the network."""
        return getattr(self.network, "conditions", super().conditions)

    def averaged_modules(self) -> list[str]:
        return ["network"]

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` of a batch in nats; only in the phase "train" are conditions dropped."""
        tokens, condition = self.view.tokens(self.data_of(batch)), self.condition_of(batch)
        if condition is not None and phase == "train":
            condition = condition.drop(self.label_dropout)
        loss, terms = self.objective(self.network(tokens, condition), tokens)
        bits = bits_per_dimension(-terms["nats"], self.spec[self.spec.data])
        return {"loss": loss.mean(), "bpd": bits, **terms}

    def sample(
        self,
        num_samples: int,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        solver: AutoregressiveDecoding | None = None,
    ) -> Tensor:
        """New data (num_samples, *spec.shape).

        Args:
            num_samples: how many, as many as rng has streams.
            condition: their classes, or None for the unconditional model; one that never loses labels in training
                draws classes evenly.
            rng: where the draws come from.
            solver: other than the model's own decoding.

        Raises:
            UserError: rng or the condition are for another number of samples, the model is unconditional, or the solver
                guides away from a condition that training never loses.
        """
        self.check_request(num_samples, condition, rng)
        decoding = solver or self.decoding
        check_guided(decoding.guidance_scale, self.conditions, self.label_dropout)
        rng = rng.to(self.device)
        condition = self.condition_or_drawn(condition, rng, self.label_dropout)
        with self.evaluating():
            lost = droppable(self.conditions, self.label_dropout)
            return self.view.data(decoding(self.network, condition=condition, rng=rng, droppable=lost))

    def sampling_protocol(self) -> dict[str, object]:
        """The decoding's, and its evaluations of the network: one per token, two under guidance."""
        return self.decoding.protocol() | {"nfe": self.decoding.evaluations(self.network)}

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(x) in nats, (B,), of the model itself, at temperature 1 and without guidance.

        Args:
            x: data, (B, ...); centres of levels, where they have any.
            condition: of each x, or None for the unconditional model.
            rng: nothing is drawn.

        Raises:
            UserError: rng or the condition are for another number of data.
        """
        self.check_request(len(x), condition, rng or RandomStreams(0, len(x)))
        with self.evaluating():
            tokens = self.view.tokens(x)
            return LogProb(
                -next_token_nats(self.network(tokens, condition), tokens), "exact", "discrete", "chain rule"
            )
