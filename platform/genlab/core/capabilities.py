"""What a family can do: callbacks and commands ask for these, never for a class."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from genlab.core.codebooks import Codebooks
from genlab.core.condition import Condition
from genlab.core.random import RandomStreams
from genlab.core.spec import DataSpec


@dataclass(frozen=True)
class LogProb:
    """Log-likelihoods and what they are.

    Args:
        nats: per sample, (B,).
        kind: "exact", or "bound" (not above the true value), or "estimate" (a bound that tightens with samples).
        measure: "discrete" (probability of levels), "dequantised" (bound on that from a density), or "density".
        method: how it was found, for people: "ELBO, 1 sample", "IWAE, 500 samples".
    """

    nats: Tensor
    kind: str
    measure: str
    method: str


@runtime_checkable
class CanSample(Protocol):
    """Draws new data.

    Attributes:
        conditional: whether samples can be asked for by class.
        needed_conditions: kinds of condition without which there are no samples, as the images that are enlarged.
    """

    conditional: bool
    needed_conditions: tuple[str, ...]

    def sample(self, num_samples: int, *, condition: Condition | None = None, rng: RandomStreams) -> Tensor:
        """Data (num_samples, *spec.shape); sample i's noise comes from rng's i-th stream alone, read from a copy."""
        ...

    def sampling_protocol(self) -> dict[str, object]:
        """How `sample` samples, as primitives: {"solver": "heun", "num_steps": 50, "nfe": 99, ...}."""
        ...


def why_no_samples(model: object) -> str:
    """Why a model that is asked for nothing but classes gives no samples; "" where it does.

    >>> why_no_samples(object())
    "object can't sample"
    """
    name = type(model).__name__
    if not isinstance(model, CanSample):
        return f"{name} can't sample"
    needed = " and ".join(model.needed_conditions)
    return f"{name} can't sample without {needed} to start from" if needed else ""


@runtime_checkable
class CanShowPath(Protocol):
    """Samples step by step. A family whose part may lack this says so by an attribute `has_sample_path`."""

    def sample_path(
        self,
        num_samples: int,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        num_frames: int = 16,
    ) -> Tensor:
        """From noise to data: (num_frames, num_samples, *spec.shape); the last frame is `sample`'s answer."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """Knows how likely data are."""

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """Log-likelihood of each sample in nats, and whether it is exact or a bound."""
        ...


@runtime_checkable
class CanEncode(Protocol):
    """Maps data to latents.

    Attributes:
        latent_spec: of the latents, its only modality: (D,), or (C, h, w) where they are a map.
    """

    latent_spec: DataSpec

    def encode(self, x: Tensor) -> Tensor:
        """Latents of x (the posterior's mean where the code is random)."""
        ...


@runtime_checkable
class CanDecode(Protocol):
    """Maps latents to data."""

    def decode(self, z: Tensor) -> Tensor:
        """Data of latents (the likelihood's mean where the output is random)."""
        ...


@runtime_checkable
class HasScaledLatents(Protocol):
    """Models data by latents of them of mean 0 and deviation 1, of which it has a model as a part."""

    def to_scaled(self, x: Tensor) -> Tensor:
        """Scaled latents of x."""
        ...

    def from_scaled(self, z: Tensor) -> Tensor:
        """Data of scaled latents."""
        ...


@runtime_checkable
class CanEnlarge(Protocol):
    """Models data given low-resolution images of them, for which it has a frozen model as its part `base`."""

    def enlarging(self, low: Tensor, label: Tensor | None, rng: RandomStreams) -> Condition:
        """What its part is conditioned on, to enlarge images (B, C, h, w) of classes (B,), by rng's noise."""
        ...


@runtime_checkable
class HasPosterior(Protocol):
    """Encodes at random, by a distribution q(z | x) of latents."""

    def encode_draw(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """One draw from q(z | x) for each x, of the shape that `encode` gives; the i-th by rng's i-th stream."""
        ...


@runtime_checkable
class HasLatentPrior(Protocol):
    """Has a distribution of latents to draw from: a prior, or a density that was fitted on them.

    Attributes:
        normal_prior: whether it is N(0, I).
    """

    normal_prior: bool

    def sample_latents(self, rng: RandomStreams) -> Tensor:
        """One draw of latents per stream, of the shape that `encode` gives."""
        ...


@runtime_checkable
class HasLatentKL(Protocol):
    """Knows what each latent dimension carries.

    Attributes:
        has_latent_kl: whether its posterior and prior have a KL per dimension.
    """

    has_latent_kl: bool

    def kl_per_dimension(self, x: Tensor) -> Tensor:
        """KL(q(z_d | x) || p(z_d)) in nats, (B, D), of latents in the order of `encode(x).flatten(1)`."""
        ...


@runtime_checkable
class HasRate(Protocol):
    """Knows what its codes cost under its own prior."""

    def rate(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """KL(q(z | x) || p(z)) in nats, (B,), over all latents; exact, or of one draw by the i-th stream."""
        ...


@runtime_checkable
class CanTokenize(Protocol):
    """Maps data to tokens, and back.

    Attributes:
        spec: of the data: their shape, range and levels.
        codebooks: what the tokens choose from: how many levels, their grids, and how many codes.
    """

    spec: DataSpec
    codebooks: Codebooks

    def tokenize(self, x: Tensor) -> Tensor:
        """Tokens of x, (B, *codebooks.shape) int64."""
        ...

    def detokenize(self, tokens: Tensor) -> Tensor:
        """Data of tokens (the likelihood's mean where the output is random)."""
        ...


@runtime_checkable
class HasTokenLikelihood(Protocol):
    """Knows how likely data are given tokens."""

    def log_prob_given(self, x: Tensor, tokens: Tensor) -> LogProb:
        """log p(x | tokens) in nats, (B,), of x (B, ...) and its tokens or others."""
        ...


@runtime_checkable
class CanReconstruct(Protocol):
    """Maps data to their reconstruction."""

    def reconstruct(self, x: Tensor) -> Tensor:
        """Reconstructions of x, in x's shape and range."""
        ...


@runtime_checkable
class CanDenoise(Protocol):
    """Restores corrupted data. A family whose parts may lack a corruption says so by an attribute `can_denoise`."""

    def corrupt(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """Data as they are seen in training, in x's shape, with the noise of one stream per datum."""
        ...

    def denoise(self, x: Tensor) -> Tensor:
        """Restored data of corrupted ones, in x's shape."""
        ...

    def corruption_protocol(self) -> dict[str, object]:
        """What `corrupt` does, as primitives."""
        ...


@runtime_checkable
class HasLosses(Protocol):
    """Is trained by one loss, so that it can be trained as a part of another family, too."""

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` and other terms of a batch, by name, in the phase "train", "val" or "test"."""
        ...


@runtime_checkable
class StartsFromData(Protocol):
    """Takes what it can from training data before the first step of training.

    Attributes:
        started: whether it has, a bool tensor.
    """

    started: Tensor

    def start(self, batches: Iterable[dict[str, Tensor]]) -> None:
        """Begin at what these batches say."""
        ...


@runtime_checkable
class HasForcedWeights(Protocol):
    """Has weights that are put in order before each batch of training, where no graph or gradient sees it."""

    def force_weights(self) -> None:
        """Put them in order, in place."""
        ...


@runtime_checkable
class TakesEncoder(Protocol):
    """Data that an encoder's latents are kept of."""

    def take_encoder(self, encoder: CanEncode, digest: str) -> None:
        """Batches are to hold the encoder's latents; `digest` names its weights."""
        ...


@runtime_checkable
class HasAveragedModules(Protocol):
    """Says of which submodules an average of weights is wanted (without it: of all that is trainable)."""

    def averaged_modules(self) -> list[str]:
        """Names of submodules, as in `named_modules` (a GAN's ["generator"])."""
        ...
