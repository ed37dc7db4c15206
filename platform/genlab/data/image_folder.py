"""Any folder of images."""

from glob import glob, has_magic
from pathlib import Path

import numpy as np

from genlab.core import DataSpec, ModalitySpec, invalid, require
from genlab.data.base import Device, GenerativeDataModule, Split
from genlab.data.image_files import ImageFiles
from genlab.data.in_memory import InMemory
from genlab.data.source import Source
from genlab.data.splitting import shuffled, stratified_split
from genlab.data.streamed import OnBroken, Streamed

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
IN_MEMORY_BYTES = 2**28


class ImageFolder(GenerativeDataModule):
    """Images of one's own: image (channels, size, size) in 256 levels, label where folders are classes.

    Files are dealt into train, val and test by `shares`, stratified by class, and lie there in an order drawn once, so
    that the first so many are of all classes: the same files give the same splits. Each is cropped about its centre to
    a square and resized.

    Args:
        paths: a folder, searched with all below it, or globs ("photos/**/*.jpg"), or a list of these.
        size: side of the images in pixels.
        labels: whether the class is the name of the file's folder; else there are no labels.
        channels: 3 for colour, 1 for grey.
        shares: of train, val and test.
        on_broken: "stop" at an image that can't be read, or "skip" it; either names and counts them.
        in_memory: decode all images once and keep them, or stream them from their files; None keeps what takes
            at most 256 MiB.
        num_workers: processes that decode.
        batch_size: samples per training step over all ranks.
        limit: keep the first so many samples of each split; None keeps all.
        flip: mirror training images left to right with probability 1/2.
        device: where data are kept and batches come out: "cpu", "cuda", or "auto", the trainer's device.

    Raises:
        UserError: there are no images, or too few for the splits; an image is broken; an argument is out of range.
    """

    def __init__(
        self,
        paths: str | list[str],
        size: int = 64,
        labels: bool = False,
        channels: int = 3,
        shares: tuple[int, int, int] = (8, 1, 1),
        on_broken: OnBroken = "stop",
        in_memory: bool | None = None,
        num_workers: int = 4,
        batch_size: int = 64,
        limit: int | None = None,
        flip: bool = False,
        device: Device = "auto",
    ):
        require(size >= 1, "size", size, "a positive number of pixels", "use 64")
        require(channels in (1, 3), "channels", channels, "1 (grey) or 3 (colour)", "use 3")
        require(min(shares) >= 1, "shares", shares, "three positive numbers", "use [8, 1, 1]")
        check_reading(on_broken, num_workers)
        self.files = find_images(paths)
        folders = [Path(path).parent.name for path in self.files]
        names = tuple(sorted(set(folders))) if labels else ()
        modalities = {"image": ModalitySpec((channels, size, size), num_levels=256)}
        if labels:
            modalities["label"] = ModalitySpec(num_classes=len(names), names=names)
        super().__init__(DataSpec(folder_name(paths), modalities), batch_size, limit, flip, device)
        self.labels = np.array([names.index(folder) for folder in folders]) if labels else None
        classes = np.zeros(len(self.files)) if self.labels is None else self.labels
        splits = stratified_split(classes, dict(zip(("train", "val", "test"), shares, strict=True)))
        self.splits = {split: shuffled(index) for split, index in splits.items()}
        for split, index in self.splits.items():
            require(len(index), "paths", f"{len(self.files)} images", f"some for {split}", "give more images")
        self.on_broken, self.in_memory, self.num_workers = on_broken, in_memory, num_workers

    def read(self, split: Split) -> Source:
        index = self.splits[split][: self.limit]
        channels, size, _ = self.spec.shape
        labels = None if self.labels is None else self.labels[index]
        files = ImageFiles([self.files[i] for i in index], labels, size, channels)
        return read_files(self.spec, files, self.num_workers, self.on_broken, self.in_memory)


def check_reading(on_broken: OnBroken, num_workers: int) -> None:
    """Raise UserError unless these say how files are read."""
    require(on_broken in ("stop", "skip"), "on_broken", on_broken, "stop or skip", "use stop")
    require(num_workers >= 0, "num_workers", num_workers, "0 or more processes", "use 4")


def read_files(
    spec: DataSpec, files: ImageFiles, num_workers: int, on_broken: OnBroken, in_memory: bool | None
) -> InMemory | Streamed:
    """Image files kept in memory where asked, or where `in_memory` is None and they are small."""
    streamed = Streamed(spec, files, num_workers, on_broken)
    small = len(files) * spec[spec.data].num_values <= IN_MEMORY_BYTES
    return streamed.in_memory() if in_memory or (in_memory is None and small) else streamed


def find_images(paths: str | list[str]) -> list[str]:
    """All image files in folders and globs, sorted, each once.

    Raises:
        UserError: there are none.
    """
    found: set[str] = set()
    for path in [paths] if isinstance(paths, str) else paths:
        pattern = str(Path(path) / "**" / "*") if Path(path).is_dir() else path
        files = (file for file in glob(pattern, recursive=True) if file.lower().endswith(SUFFIXES))
        found |= {file for file in files if Path(file).is_file()}
    if not found:
        remedy = f"give a folder or globs of files that end in {', '.join(SUFFIXES)}"
        raise invalid("paths", paths, "a folder with images", remedy)
    return sorted(found)


def folder_name(paths: str | list[str]) -> str:
    """The name of the first folder, without a glob's pattern: what the data set is called.

    >>> folder_name("photos/cats/**/*.jpg")
    'cats'
    """
    first = Path(paths if isinstance(paths, str) else paths[0])
    plain = [part for part in (first, *first.parents) if not has_magic(str(part))]
    return plain[0].resolve().name
