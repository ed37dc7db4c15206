"""Autoencoders whose codes are tokens: what those with and without a critic share."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, LogProb, ModalitySpec, RandomStreams, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.code_use import CodeUse
from genlab.families.schedules import Schedule
from genlab.networks import MapDecoder, MapEncoder, MapQuantiser, Quantised, VectorQuantiser
from genlab.objectives import QuantisedReconstruction
from genlab.probability import Gaussian, LikelihoodFactory, bits_per_dimension

EncoderFactory = Callable[[DataSpec, int], nn.Module]
DecoderFactory = Callable[[DataSpec, int, int], nn.Module]
MOST_CODES = 2**24  # of a codebook


class QuantisedAutoencoder(CodeUse, GenerativeModel):
    """Base of families x -> z = encoder(x) -> codes z_q -> p(x | decoder(z_q)), and of what they can do.

    On held-out data, `perplexity` and `usage` of the codebooks are logged over the whole set (means over codebooks),
    and `bits`, the length of a sample's tokens. `bpd` is the bound -log p(x) <= -log p(x | z_q) + bits log 2 in bits
    per dimension, of a uniform prior of tokens.

    Args:
        spec: of the data.
        encoder: makes, from the spec and a number of channels, the network from x to a map of features, with an
            attribute `grid`, the map's height and width.
        quantiser: of the map; None is a codebook of 512 vectors of 64 features.
        decoder: makes, from the spec, the map's channels and a number of channels, the network from the quantised map
            to the likelihood's parameters.
        likelihood: makes p(x | params) from the spec.
        objective: the training loss.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: an encoder that makes no maps, or others than the decoder takes or the quantiser can take; more codes
            than can be counted; images that a perceptual distance can't compare.
    """

    conditions = ()

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = MapEncoder,
        quantiser: MapQuantiser | None = None,
        decoder: DecoderFactory = MapDecoder,
        likelihood: LikelihoodFactory = Gaussian,
        objective: QuantisedReconstruction | None = None,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        self.quantiser = quantiser or VectorQuantiser(64, 512)
        self.likelihood = likelihood(self.spec)
        self.encoder = encoder(self.spec, self.quantiser.dim)
        self.grid = tuple(getattr(self.encoder, "grid", ()))
        name, expected = (
            type(self.encoder).__name__,
            "a network to maps, with their height and width as `grid`",
        )
        require(len(self.grid) > 0, "encoder", name, expected, "use for example MapEncoder")
        few = self.quantiser.num_codes <= MOST_CODES
        expected = f"at most {MOST_CODES:,} codes, whose use is counted"
        require(
            few, "quantiser", f"{self.quantiser.num_codes:,} codes", expected, "use fewer, and more tokens"
        )
        self.decoder = decoder(self.spec, self.quantiser.dim, self.likelihood.num_channels)
        theirs = tuple(getattr(self.decoder, "grid", self.grid))
        remedy = "give both as many `channels`"
        require(theirs == self.grid, "decoder", f"one of maps {theirs}", f"the encoder's {self.grid}", remedy)
        self.objective = objective or QuantisedReconstruction()
        if self.objective.compared is not None:
            self.objective.compared.check(self.spec[self.spec.data])
        self.codebooks = self.quantiser.codebooks(self.grid)

    def check_parts(self) -> None:
        """Refuse a perceptual distance whose weights are not to be had."""
        if self.objective.compared is not None:
            self.objective.compared.check_weights()

    @property
    def bits(self) -> float:
        """Of one sample's tokens."""
        return self.codebooks.bits

    @property
    def latent_spec(self) -> DataSpec:
        """Of the features that are quantised, (D, *grid)."""
        return DataSpec(self.spec.name, {"latent": ModalitySpec((self.quantiser.dim, *self.grid))})

    def encode(self, x: Tensor) -> Tensor:
        """Features, (B, D, *grid), before they are quantised."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The likelihood's mean, (B, C, ...) in [-1, 1], of features, which are quantised here."""
        return self.detokenize(self.quantiser.encode(z))

    def tokenize(self, x: Tensor) -> Tensor:
        """Tokens (B, *shape) int64 of x (B, C, ...) in [-1, 1]."""
        return self.quantiser.encode(self.encoder(x))

    def detokenize(self, tokens: Tensor) -> Tensor:
        """The likelihood's mean, (B, C, ...) in [-1, 1], of tokens."""
        return self.likelihood.mean(self.decoder(self.quantiser.decode(tokens, self.grid)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the tokens keep of x."""
        return self.detokenize(self.tokenize(x))

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.reconstruct(self.data_of(batch))

    def through(self, x: Tensor) -> tuple[Quantised, Tensor]:
        """The codes of x, and the likelihood's parameters given them."""
        codes = self.quantiser(self.encoder(x))
        return codes, self.decoder(codes.z_q)

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The objective of a batch, and what its codes are worth; on held-out data also the mean squared error."""
        x = self.data_of(batch)
        codes, params = self.through(x)
        log_p = self.likelihood.log_prob(x, params)
        image_loss, terms = self.objective.reconstruction(x, log_p, lambda: self.likelihood.mean(params))
        code_loss, more = self.objective.codes(codes)
        terms |= more | self.code_terms(phase, codes.indices)
        terms["bpd"] = self.bits_per_dimension(log_p.mean())
        if phase != "train":
            terms["mse"] = (self.likelihood.mean(params) - x).square().mean()
        return {"loss": (image_loss + code_loss).mean(), **terms}

    def bits_per_dimension(self, log_p: Tensor) -> Tensor:
        """Of log p(x | z_q) in nats and tokens that are all equally likely."""
        return bits_per_dimension(log_p - self.bits * math.log(2), self.spec[self.spec.data])

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(x) in nats from below, (B,): log p(x | z_q) and that of x's tokens, all of which are equally likely.

        Args:
            x: data, (B, ...) in [-1, 1].
            condition: None; the model is unconditional.
            rng: nothing is drawn.

        Raises:
            UserError: there is a condition.
        """
        self.check_request(len(x), condition, rng or RandomStreams(0, len(x)))
        with self.evaluating():
            given = self.log_prob_given(x, self.tokenize(x))
        nats = given.nats - self.bits * math.log(2)
        return LogProb(nats, "bound", given.measure, "tokens, uniform prior")

    def log_prob_given(self, x: Tensor, tokens: Tensor) -> LogProb:
        """log p(x | tokens) in nats, (B,), of x (B, C, ...) in [-1, 1] and tokens (B, *shape)."""
        params = self.decoder(self.quantiser.decode(tokens, self.grid))
        return LogProb(self.likelihood.log_prob(x, params), "exact", self.likelihood.measure, "likelihood")
