"""Images and masks that `lightning sample` edits, from files, as the model's data are."""

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genlab.core import DataSpec, ModalitySpec, UserError, invalid, require
from genlab.experiments.loading import Loaded, build_data

SPLIT = re.compile(r"(train|val|test)(?::(\d+(?:,\d+)*))?")
NUM_OF_SPLIT = 8  # where no numbers are given
REGIONS = ("lower", "upper", "left", "right", "centre")


def images_of(option: str, path: Path, loaded: Loaded) -> tuple[Tensor, Tensor | None]:
    """The images that a file holds, or those of the model's own data: "val" is the first 8, "val:3,5" those numbers.

    Returns:
        images, and their classes (N,) where they have such.

    Raises:
        UserError: from `read_images`; a number beyond the split's end.
    """
    named = SPLIT.fullmatch(str(path))
    if named is None or path.exists():
        return read_images(option, path, loaded.spec)
    split, words = named.groups()
    require(
        "data" in loaded.config, option, str(path), "a file: this model's data are unknown", "pass a .npz"
    )
    data = build_data(loaded.config)
    numbers = [int(word) for word in words.split(",")] if words else list(range(NUM_OF_SPLIT))
    last = min(data.num_samples(split), max(numbers) + 1) - 1
    inside = f"numbers from 0 to {last}" if words else "a split"
    require(not words or max(numbers) <= last, option, str(path), inside, "choose among these")
    batches = list(data.batches(split, num=last + 1))
    kept = torch.tensor([number for number in numbers if number <= last])
    x, labels = (
        torch.cat([b[n] for b in batches]) if n in batches[0] else None for n in (data.spec.data, "label")
    )
    return x[kept], None if labels is None else labels[kept]


def read_images(option: str, path: Path, spec: DataSpec) -> tuple[Tensor, Tensor | None]:
    """The images (N, C, H, W) in [-1, 1] of a .npz (its `image`, as `lightning sample` writes it) or of one picture.

    Returns:
        images, and their classes (N,) where the file has `label`.

    Raises:
        UserError: no such file, another kind, or images of another size than the model's.
    """
    modality = spec[spec.data]
    try:
        if path.suffix.lower() != ".npz":
            return from_pixels(option, path, modality)[None], None
        with np.load(path) as arrays:
            missing = f"expected an archive with {spec.data!r}; it has {', '.join(arrays) or 'nothing'}"
            if spec.data not in arrays:
                raise UserError(f"{option}: got {str(path)!r}, {missing}; write it as lightning sample does")
            x = torch.from_numpy(arrays[spec.data]).float()
            labels = torch.from_numpy(arrays["label"]).long() if "label" in arrays else None
    except (OSError, ValueError, UnidentifiedImageError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        remedy = "pass a .npz of lightning sample, or a picture"
        raise invalid(option, str(path), "a file of images", remedy) from error
    got, expected = tuple(x.shape), f"({', '.join(['N', *map(str, modality.shape)])})"
    fits = got[1:] == modality.shape and got[0] > 0
    require(fits, option, got, f"shape {expected}, the model's", "resize the images")
    bounded = bool(x.isfinite().all()) and (spec.data != "image" or float(x.abs().max()) <= 1)
    require(bounded, option, str(path), "values in [-1, 1]", "scale them as lightning sample does")
    return x, labels


def from_pixels(option: str, path: Path, modality: ModalitySpec) -> Tensor:
    """One picture (C, H, W) in [-1, 1]: the inverse of `to_pixels`, black is the lowest level's centre."""
    _, height, width = modality.shape
    pixels = read_pixels(option, path, modality, "L" if modality.shape[0] == 1 else "RGB")
    got = tuple(pixels.shape[:2])
    require(got == (height, width), option, got, f"a picture of {height} x {width} pixels", "resize it")
    x = torch.from_numpy(pixels).reshape(height, width, -1).permute(2, 0, 1) / 255
    k = modality.num_levels
    return (x * (2 * k - 2) + 1) / k - 1 if k > 1 else 2 * x - 1


def read_pixels(option: str, path: Path, modality: ModalitySpec, mode: str) -> np.ndarray:
    """A picture's pixels in another mode, (H, W) or (H, W, 3) uint8."""
    images = len(modality.shape) == 3 and modality.shape[0] in (1, 3)
    require(images, option, modality.shape, "a model of images with 1 or 3 channels", "pass a .npz")
    with Image.open(path) as image:
        return np.asarray(image.convert(mode)).copy()


def read_mask(option: str, region: str, spec: DataSpec) -> Tensor:
    """What is to be filled in, (1, H, W) bool: a half or the centre by name, or where a picture is white.

    Raises:
        UserError: no such region or file, a picture of another size, or one that leaves nothing to do or to keep.
    """
    modality = spec[spec.data]
    got, remedy = modality.shape, "edit a model of images"
    require(len(got) == 3, option, got, "images (C, H, W)", remedy)
    _, height, width = got
    missing = torch.zeros(1, height, width, dtype=torch.bool)
    rows, columns = slice(None), slice(None)
    if region in REGIONS:
        if region in ("lower", "centre"):
            rows = slice(height // 2 if region == "lower" else height // 4, height)
        if region in ("upper", "centre"):
            rows = slice(rows.start, height // 2 if region == "upper" else height - height // 4)
        if region in ("right", "centre"):
            columns = slice(width // 2 if region == "right" else width // 4, width)
        if region in ("left", "centre"):
            columns = slice(columns.start, width // 2 if region == "left" else width - width // 4)
        missing[:, rows, columns] = True
        return missing
    try:
        pixels = read_pixels(option, Path(region), ModalitySpec((1, height, width)), "L")
    except (OSError, UnidentifiedImageError) as error:
        raise invalid(option, region, f"a picture or one of {', '.join(REGIONS)}", "choose one") from error
    require(pixels.shape == (height, width), option, pixels.shape, f"{height} x {width} pixels", "resize it")
    missing = torch.from_numpy(pixels > 127)[None]
    some = bool(missing.any()) and not bool(missing.all())
    require(some, option, region, "white where to fill in and black where to keep", "draw both")
    return missing
