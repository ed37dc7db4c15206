"""A prior of a trained first stage's tokens: the second stage of VQ-VAE, VQ-GAN and their like."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from genlab.core import (
    CanEncode,
    CanTokenize,
    Codebooks,
    Condition,
    DataSpec,
    HasLogProb,
    HasTokenLikelihood,
    LogProb,
    RandomStreams,
    require,
)
from genlab.families.two_stage import TwoStage


class TokenPrior(TwoStage):
    """A prior p(k) of tokens k = tokenize(x), and samples x = detokenize(k).

    The first stage is frozen: the checkpoint of the whole holds its averaged weights. What is trained is the `prior`,
    an `Autoregressive`; its optimiser and schedule are those of the training.

    Source: van den Oord et al. 2017, "Neural discrete representation learning", section 3.3; Esser et al. 2021,
    "Taming transformers for high-resolution image synthesis", section 3.2.
    """

    needs = (CanTokenize,)

    @property
    def codebooks(self) -> Codebooks:
        """The first stage's."""
        return self.first_stage.model.codebooks

    def encoder(self) -> CanEncode:
        return Tokens(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["codebooks"] = asdict(self.codebooks)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on other codebooks, or on a first stage of another make.

        Raises:
            UserError: naming both.
        """
        if "codebooks" in checkpoint:
            theirs = Codebooks(**checkpoint["codebooks"])
            expected, remedy = f"{theirs} as in the checkpoint", "name the first stage that it was trained on"
            ours = f"tokens on {self.codebooks}"
            require(self.codebooks == theirs, "first_stage", ours, expected, f"{remedy}, or begin a new run")
        super().on_load_checkpoint(checkpoint)

    def tokenize(self, x: Tensor) -> Tensor:
        """The first stage's tokens of x."""
        with torch.no_grad():
            return self.first_stage.model.tokenize(x.to(self.device))

    def detokenize(self, tokens: Tensor) -> Tensor:
        """The first stage's data of tokens."""
        with torch.no_grad():
            return self.first_stage.model.detokenize(tokens)

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the first stage leaves of x."""
        return self.detokenize(self.tokenize(x))

    @property
    def has_log_prob(self) -> bool:
        """Whether both stages have theirs."""
        likely = isinstance(self.prior, HasLogProb) and getattr(self.prior, "has_log_prob", True)
        return likely and isinstance(self.first_stage.model, HasTokenLikelihood)

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(x) in nats from below, (B,): log p(k | condition) + log p(x | k), k = tokenize(x).

        Args:
            x: data, (B, ...) in [-1, 1].
            condition: of each, or None for the unconditional prior.
            rng: for what the prior draws.

        Raises:
            UserError: the first stage has no likelihood; rng or the condition are for another number of data.

        Source: van den Oord et al. 2017, section 3.2 (log p(x) >= log p(x | z_q(x)) p(z_q(x))).
        """
        stage = self.first_stage.model
        got, expected = type(stage).__name__, "one with a likelihood of data given tokens"
        require(isinstance(stage, HasTokenLikelihood), "first_stage", got, expected, "leave likelihoods out")
        with self.evaluating():
            tokens = self.tokenize(x)
            prior = self.prior.log_prob(tokens, condition=condition, rng=rng)
            given = stage.log_prob_given(x.to(self.device), tokens)
        return LogProb(prior.nats + given.nats, "bound", given.measure, f"tokens, {prior.method}")

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The prior's, of the batch's tokens, where it holds them, else of those of its data.

        Its bits per dimension are those of a token: `bits_per_token`.
        """
        tokens = batch[self.latent] if self.latent in batch else self.tokenize(self.data_of(batch))
        terms = self.prior.losses(phase, {**batch, self.latent: tokens})
        return {"bits_per_token" if name == "bpd" else name: value for name, value in terms.items()}

    def shown(self, x: Tensor) -> Tensor:
        """The first stage's data of tokens."""
        return self.detokenize(x)


class Tokens:
    """A tokenizer as an encoder, for data that keep its codes."""

    def __init__(self, tokenizer: CanTokenize):
        self.tokenizer = tokenizer

    @property
    def latent_spec(self) -> DataSpec:
        """Of the tokens."""
        return DataSpec(self.tokenizer.spec.name, {"tokens": self.tokenizer.codebooks.modality})

    def encode(self, x: Tensor) -> Tensor:
        """Tokens of x."""
        return self.tokenizer.tokenize(x)
