"""Pictures of batches: grids of images, and the files that hold them."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genlab.core import ModalitySpec, WorkError, require

GAP = 1  # pixels between tiles
GREY = 110  # of the gaps
TILE = 48  # pixels: smaller images are enlarged to at least this, so that a person can see them
LARGEST = 768  # pixels: larger frames of an animation are reduced to this


def to_pixels(x: Tensor, spec: ModalitySpec) -> np.ndarray:
    """Images as bytes: (N, C, H, W) in [-1, 1] -> (N, H, W) or, for three channels, (N, H, W, 3) uint8.

    The lowest level's bin centre becomes 0 and the highest one's 255, so that bytes come back as they were.

    Raises:
        UserError: the images have neither one channel nor three.
    """
    require(x.shape[1] in (1, 3), "images", f"{x.shape[1]} channels", "1 or 3", "choose channels to draw")
    k = spec.num_levels
    x = x.detach().float().cpu().nan_to_num(0.0)
    x = ((x + 1) * k - 1) / (2 * k - 2) if k > 1 else (x + 1) / 2
    pixels = (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def image_grid(x: Tensor, spec: ModalitySpec, columns: int | None = None) -> Image.Image:
    """Images in rows of `columns` tiles, enlarged by nearest neighbours where they are small.

    Args:
        x: (N, C, H, W) in [-1, 1], with one channel or three.
        spec: of these images, for their levels.
        columns: tiles per row; None makes it about square.

    >>> image_grid(torch.zeros(10, 1, 8, 8), ModalitySpec((1, 8, 8)), columns=5).size
    (246, 99)
    """
    pixels = to_pixels(x, spec)
    scale = max(1, math.ceil(TILE / pixels.shape[2]))
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width = pixels.shape[:3]
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    rows = -(-count // columns)
    shape = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, *pixels.shape[3:])
    canvas = np.full(shape, GREY, dtype=np.uint8)
    for i, tile in enumerate(pixels):
        top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas)


def over(x: Tensor, y: Tensor, columns: int) -> Tensor:
    """Two batches for a grid of `columns` tiles: each row of the first stands over a row of the second.

    Args:
        x, y: (N, C, H, W) in [-1, 1]; a last row that they do not fill gets black tiles.
        columns: tiles per row; at most N are used.

    >>> over(torch.zeros(3, 1, 1, 1), torch.ones(3, 1, 1, 1), 2).flatten().tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, -1.0, 1.0, -1.0]
    """
    columns = min(columns, len(x))
    black = -torch.ones_like(x[: -len(x) % columns])
    rows = [torch.cat([part, black]).unflatten(0, (-1, columns)) for part in (x, y)]
    return torch.stack(rows, 1).flatten(0, 2)


def columns_of_pairs(num: int) -> int:
    """Columns of `num` tiles that stand over others: 8 or, of many, about twice as many as rows.

    >>> columns_of_pairs(5), columns_of_pairs(16), columns_of_pairs(100)
    (5, 8, 20)
    """
    return min(num, max(8, 2 * columns_by_class(num, 0)))


def stacked(images: Sequence[Image.Image]) -> Image.Image:
    """Images below one another, in colour where one of them is; their borders overlap by a gap."""
    mode = "L" if all(image.mode == "L" for image in images) else "RGB"
    height = sum(image.height for image in images) - GAP * (len(images) - 1)
    canvas = Image.new(
        mode, (max(image.width for image in images), height), GREY if mode == "L" else (GREY,) * 3
    )
    top = 0
    for image in images:
        canvas.paste(image, (0, top))
        top += image.height - GAP
    return canvas


def side_by_side(images: Sequence[Image.Image], space: int = 12) -> Image.Image:
    """Images of one mode beside one another, `space` pixels apart."""
    width = sum(image.width for image in images) + space * (len(images) - 1)
    canvas = Image.new(images[0].mode, (width, max(image.height for image in images)), "white")
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + space
    return canvas


def columns_by_class(num: int, num_classes: int) -> int:
    """Columns of a grid of `num` samples: one per class where these are 2 to 20, else about a square.

    >>> columns_by_class(60, 10), columns_by_class(64, 0), columns_by_class(64, 1000)
    (10, 8, 8)
    """
    by_class = 2 <= num_classes <= min(20, num)
    return num_classes if by_class else math.ceil(math.sqrt(num))


def even_labels(num: int, num_classes: int) -> Tensor:
    """The class of each of `num` samples, i mod `num_classes`, which fills a grid's columns by class: (num,)."""
    return torch.arange(num) % num_classes


def with_caption(image: Image.Image, text: str) -> Image.Image:
    """The image above a line of text."""
    captioned = Image.new("RGB", (image.width, image.height + 14), "white")
    captioned.paste(image, (0, 0))
    ImageDraw.Draw(captioned).text((3, image.height + 1), text, fill="black")
    return captioned


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG at once: a reader sees the old file or the new one; equal images give equal bytes.

    Raises:
        WorkError: it can't be written.
    """
    with _replacing(path) as temporary:
        image.save(temporary, format="PNG")


def save_gif(frames: Sequence[Image.Image], path: Path, milliseconds: int = 200) -> None:
    """Write an endless animation whose last frame stays ten times as long; frames have one size.

    Raises:
        WorkError: it can't be written.
    """
    scale = min(1.0, LARGEST / max(frames[0].size))
    size = tuple(round(side * scale) for side in frames[0].size)
    first, *rest = [f if scale == 1 else f.resize(size) for f in frames]
    durations = [milliseconds] * len(rest) + [10 * milliseconds]
    with _replacing(path) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when all went well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise WorkError(
            f"samples: could not write {path} ({error.strerror}); free some space there"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
