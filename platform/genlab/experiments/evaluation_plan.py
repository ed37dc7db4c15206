"""What an evaluation will do, decided and checked before any work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from genlab.core import (
    CanDecode,
    CanDenoise,
    CanEncode,
    CanReconstruct,
    CanTokenize,
    HasLogProb,
    HasPosterior,
    HasRate,
    UserError,
    require,
    why_no_samples,
)
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import num_classes
from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.extractors import Extractor
from genlab.metrics.reconstruction import DENOISING, RECONSTRUCTION, RECONSTRUCTION_SCORES
from genlab.metrics.scene import Scene
from genlab.metrics.scores import METRICS, known

LIKELIHOOD = "bpd"
RATE = "rate"  # and distortion
MOST = 10_000  # samples by default
SMALL, SMALL_DRAWS = 1000, 20  # up to so many samples, so many draws


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Args:
        metrics: names, or None for all that can be had.
        num: samples per draw; None is as many as the split (and the one of the floor) has, at most 10,000.
        draws: of the generated side; None is 20 for at most 1,000 samples, else 1.
        split: the reference.
        seed: of the random streams.
        batch_size: samples at a time.
        reference: a folder of images that takes the split's place.
        extractor: of features; None is the data's own.
        baselines: whether floor and trivial baselines are scored too.
    """

    metrics: Sequence[str] | None = None
    num: int | None = None
    draws: int | None = None
    split: Literal["train", "val", "test"] = "test"
    seed: int = 0
    batch_size: int = 256
    reference: Path | None = None
    extractor: Extractor | None = None
    baselines: bool = True

    def __post_init__(self) -> None:
        if self.metrics is not None:
            known(self.metrics, [LIKELIHOOD, RATE, *DISENTANGLEMENT, *RECONSTRUCTION_SCORES])
        require(self.num is None or self.num > 1, "num", self.num, "at least 2 samples", "leave --num out")
        require(self.draws is None or self.draws > 0, "draws", self.draws, "at least 1", "leave --draws out")
        require(self.batch_size > 0, "batch_size", self.batch_size, "at least 1", "leave --batch_size out")
        splits = ("train", "val", "test")
        require(self.split in splits, "split", self.split, "train, val or test", "choose one of them")

    def wants(self, names: Iterable[str]) -> bool:
        """Whether any of these metrics is asked for."""
        return self.metrics is None or not set(names).isdisjoint(self.metrics)


def check_family(loaded: Loaded, request: Request) -> None:
    """Refuse what this family can't give, before any data are read.

    Raises:
        UserError: naming the metrics that it can give.
    """
    name, samples, likelihood = type(loaded.model).__name__, can_sample(loaded), can_score(loaded)
    possible = [*(METRICS if samples else []), *([LIKELIHOOD] if likelihood else [])]
    possible += [RATE] if has_code(loaded) else []
    possible += DISENTANGLEMENT if has_factors(loaded) else []
    lacking = lacking_reconstruction(loaded)
    possible += [metric for metric, reason in lacking.items() if not reason]
    if not possible:
        raise UserError(
            f"ckpt: got a {name}, expected a family that samples, reconstructs or has likelihoods or codes; nothing to "
            "score"
        )
    for metric in request.metrics or []:
        if metric not in possible:
            lacks = f"{name} has no likelihood" if metric == LIKELIHOOD else why_no_samples(loaded.model)
            lacks = f"{name} has neither a rate nor tokens" if metric == RATE else lacks
            if metric in DISENTANGLEMENT:
                can = isinstance(loaded.model, CanEncode)
                lacks = f"{loaded.spec.name} has no factors" if can else f"{name} can't encode"
            lacks = f"{metric} {lacking[metric]}" if metric in lacking else lacks
            remedy = f"{lacks}; choose among these"
            require(False, "metrics", metric, f"auto or some of {', '.join(possible)}", remedy)


def can_sample(loaded: Loaded) -> bool:
    """Whether the model samples, asked for nothing but classes."""
    return not why_no_samples(loaded.model)


def can_score(loaded: Loaded) -> bool:
    """Whether the family has likelihoods."""
    return isinstance(loaded.model, HasLogProb) and getattr(loaded.model, "has_log_prob", True)


def has_code(loaded: Loaded) -> bool:
    """Whether the family's codes have a price, and can be read again."""
    model = loaded.model
    needs = (HasRate, HasPosterior, CanDecode)
    return isinstance(model, CanTokenize) or all(isinstance(model, need) for need in needs)


def has_factors(loaded: Loaded) -> bool:
    """Whether the family encodes, and the data say what they were made from."""
    return "factors" in loaded.spec and isinstance(loaded.model, CanEncode)


def can_reconstruct(loaded: Loaded) -> bool:
    """Whether the family reconstructs images."""
    return loaded.spec.data == "image" and isinstance(loaded.model, CanReconstruct)


def can_denoise(loaded: Loaded) -> bool:
    """Whether the family was trained to restore images."""
    return can_reconstruct(loaded) and isinstance(loaded.model, CanDenoise) and loaded.model.can_denoise


def lacking_reconstruction(loaded: Loaded) -> dict[str, str]:
    """Of each metric of reconstructions, what it lacks here; "" for nothing."""
    name, able = type(loaded.model).__name__, can_reconstruct(loaded)
    lacking = {
        metric: comparison.missing(loaded.spec["image"]) if able else f"needs images that {name} reconstructs"
        for metric, comparison in RECONSTRUCTION.items()
    }
    return {**lacking, DENOISING: "" if can_denoise(loaded) else f"needs images that {name} restores"}


def choose_metrics(loaded: Loaded, request: Request, scene: Scene) -> tuple[list[str], dict[str, str]]:
    """The sample metrics to compute, and why others are left out.

    Raises:
        UserError: one that was asked for can't be had here.
    """
    if not can_sample(loaded):
        return [], {}
    asked = bool(num_classes(loaded)) and scene.real.labels is not None
    logits = scene.real.logits is not None
    missing = {name: m.missing(scene, logits=logits, asked=asked) for name, m in METRICS.items()}
    reasons = {name: "needs " + ", ".join(needs) for name, needs in missing.items() if needs}
    have = [name for name in METRICS if name not in reasons]
    if request.metrics is None:
        return have, reasons
    for name in request.metrics:
        if name in reasons:
            require(False, "metrics", name, f"auto or some of {', '.join(have)}", f"{name} {reasons[name]}")
    return [name for name in request.metrics if name in METRICS], {}


def choose_rows(request: Request, available: int) -> int:
    """How many data are encoded.

    Raises:
        UserError: more are asked for than there are.
    """
    count = request.num or min(available, MOST)
    require(count <= available, "num", count, f"at most {available:,}, all of the split", "lower it")
    return count


def choose_counts(request: Request, available: int, floor: int | None) -> tuple[int, int]:
    """Samples per draw and draws, from the sizes of the reference and of the floor's split.

    Raises:
        UserError: more samples are asked for than there are references.
    """
    count = request.num or min(available, floor or available, MOST)
    too_many = f"at most {available:,}, as many as there are reference samples: scores are at equal counts"
    require(count <= available, "num", count, too_many, "lower it, or pass --split train")
    return count, request.draws or (SMALL_DRAWS if count <= SMALL else 1)
