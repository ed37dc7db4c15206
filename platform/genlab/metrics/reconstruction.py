"""How near reconstructed images are to their originals: PSNR, SSIM, LPIPS."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import ModalitySpec

RANGE = (-1.0, 1.0)
LEAST_MSE = 4e-10  # of equal images: 100 dB
WINDOW, SMALL_WINDOW = 11, 7  # SSIM's Gaussian one, and a uniform one for images that are no larger than that
LEAST_SIDE = 32  # of images that AlexNet's layers see something of


@dataclass(frozen=True)
class Comparison:
    """A measure of images beside others.

    Args:
        better: "higher" or "lower".
        per_image: (B, C, H, W) twice, in [-1, 1], the originals second, to a number of each, (B,).
        finish: from these numbers' mean over a set to the score.
        missing: why images of a modality can't be compared so; "" where they can.
        protocol: what a reader must know, from the modality.
    """

    better: str
    per_image: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[float], float] = float
    missing: Callable[[ModalitySpec], str] = lambda modality: ""
    protocol: Callable[[ModalitySpec], dict[str, Any]] = lambda modality: {}


def mean_squared_error(y: Tensor, x: Tensor) -> Tensor:
    """Of each image, (B,)."""
    return (y.clamp(*RANGE) - x).square().flatten(1).mean(1)


def decibels(mse: float) -> float:
    """PSNR = 10 log10(2^2 / MSE) of values in [-1, 1]; 100 dB for equal images.

    >>> decibels(0.04), decibels(0.0)
    (20.0, 100.0)
    """
    return 10 * torch.log10(torch.tensor(4 / max(mse, LEAST_MSE), dtype=torch.float64)).item()


def structural_similarity(y: Tensor, x: Tensor) -> Tensor:
    """SSIM of each image, (B,) (Wang et al. 2004), under a window that fits it."""
    from torchmetrics.functional.image import structural_similarity_index_measure

    window = (
        {"gaussian_kernel": True}
        if large(x.shape)
        else {"gaussian_kernel": False, "kernel_size": SMALL_WINDOW}
    )
    found = structural_similarity_index_measure(y, x, reduction="none", data_range=RANGE, **window)
    return found.reshape(len(x))


def large(shape: tuple[int, ...]) -> bool:
    """Whether SSIM's own window fits into images, with a border of half of it left out."""
    return min(shape[-2:]) > WINDOW


def lpips_weights() -> Path:
    """Where torchvision's AlexNet, whose layers LPIPS compares, is kept."""
    from torchvision.models import AlexNet_Weights

    return Path(torch.hub.get_dir()) / "checkpoints" / Path(AlexNet_Weights.IMAGENET1K_V1.url).name


@cache
def lpips_network() -> nn.Module:
    """torchmetrics' LPIPS, which has the weights of its own few layers with it."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity("alex", sync_on_compute=False).eval()


def perceptual_distance(y: Tensor, x: Tensor) -> Tensor:
    """LPIPS, AlexNet's (Zhang et al. 2018): the batch's mean, for each image of it, (B,)."""
    network = lpips_network().to(x.device)
    grey = [image.clamp(*RANGE).expand(-1, 3, -1, -1) for image in (y, x)]
    return network(*grey).expand(len(x))


def lpips_missing(modality: ModalitySpec) -> str:
    """Small images, or no weights."""
    channels, *sides = modality.shape
    if channels not in (1, 3) or min(sides) < LEAST_SIDE:
        return f"needs grey or colour images of at least {LEAST_SIDE} pixels a side"
    path = lpips_weights()
    return "" if path.is_file() else f"needs torchvision's AlexNet in {path}"


def _ssim_missing(modality: ModalitySpec) -> str:
    small = min(modality.shape[-2:]) < SMALL_WINDOW
    return f"needs images of at least {SMALL_WINDOW} pixels a side" if small else ""


def _ssim_protocol(modality: ModalitySpec) -> dict[str, Any]:
    gaussian = f"Gaussian of deviation 1.5, {WINDOW}x{WINDOW}"
    return {"window": gaussian if large(modality.shape) else f"uniform, {SMALL_WINDOW}x{SMALL_WINDOW}"}


RECONSTRUCTION: dict[str, Comparison] = {
    "psnr": Comparison(
        "higher",
        mean_squared_error,
        decibels,
        protocol=lambda modality: {"measured": "dB of the mean squared error over all values, range 2"},
    ),
    "ssim": Comparison("higher", structural_similarity, missing=_ssim_missing, protocol=_ssim_protocol),
    "lpips": Comparison(
        "lower", perceptual_distance, missing=lpips_missing, protocol=lambda modality: {"network": "AlexNet"}
    ),
}
DENOISING = "denoising"  # of a family that restores corrupted images, the first two of these
# Every metric's scores, and which way is better.
RECONSTRUCTION_SCORES: dict[str, dict[str, str]] = {
    **{name: {name: comparison.better} for name, comparison in RECONSTRUCTION.items()},
    DENOISING: {f"denoised_{name}": "higher" for name in ("psnr", "ssim")},
}


def median_filter(x: Tensor, size: int = 3) -> Tensor:
    """Each value's median over a window of `size` x `size` (odd), the image mirrored at its edges: (B, C, H, W).

    >>> median_filter(torch.tensor([[0.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]])[None, None]).abs().max()
    tensor(0.)
    """
    padded = functional.pad(x, [size // 2] * 4, mode="reflect")
    return padded.unfold(2, size, 1).unfold(3, size, 1).flatten(4).median(4).values
