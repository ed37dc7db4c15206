"""Writing samples down: a grid as PNG, an archive as NPZ, or a folder with one PNG per sample."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genlab.callbacks.grids import columns_by_class, columns_of_pairs, image_grid, over, to_pixels
from genlab.callbacks.plots import scatter
from genlab.core import DataSpec, UserError, WorkError, require

Batch = dict[str, Tensor]


class Archive:
    """One .npz with an array per modality and, as JSON text in `about`, how they were made."""

    def __init__(self, path: Path, spec: DataSpec):
        self.path, self.batches = path, []
        path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, batch: Batch) -> None:
        self.batches.append(batch)

    def joined(self) -> Batch:
        return {name: torch.cat([batch[name] for batch in self.batches]) for name in self.batches[0]}

    def close(self, about: dict[str, Any]) -> None:
        arrays = {name: x.numpy() for name, x in self.joined().items()}
        with _replacing(self.path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays, about=np.array(json.dumps(about)))


class Grid(Archive):
    """All samples in one PNG: a grid of images, rows of them under their originals, or a scatter plot of 2-D points."""

    def __init__(self, path: Path, spec: DataSpec, columns: int | None = None):
        _require_drawable(_is_picture(spec) or spec.shape == (2,), path, spec)
        super().__init__(path, spec)
        self.spec, self.columns = spec, columns

    def close(self, about: dict[str, Any]) -> None:
        samples = self.joined()
        with _replacing(self.path) as temporary:
            self.draw(samples).save(temporary, format="PNG")

    def draw(self, samples: Batch) -> Image.Image:
        labels, x = samples.get("label"), samples[self.spec.data]
        if self.spec.data != "image":
            return scatter(x, labels, None)
        if "original" in samples:
            columns = columns_of_pairs(len(x))
            return image_grid(over(samples["original"], x, columns), self.spec["image"], columns)
        classes = 0 if labels is None else len(labels.unique())
        return image_grid(x, self.spec["image"], self.columns or columns_by_class(len(x), classes))


class Folder:
    """One PNG per sample, 000000.png and so on, written as the batches come, and about.json."""

    def __init__(self, path: Path, spec: DataSpec):
        _require_drawable(_is_picture(spec), path, spec)
        self.path, self.spec, self.count = path, spec, 0
        empty = not path.exists() or not any(path.iterdir())
        require(empty, "out", str(path), "a new or an empty folder", "samples would mix: choose another one")
        path.mkdir(parents=True, exist_ok=True)

    def add(self, batch: Batch) -> None:
        for i, pixels in enumerate(to_pixels(batch["image"], self.spec["image"])):
            label = f"_class{int(batch['label'][i])}" if "label" in batch else ""
            Image.fromarray(pixels).save(self.path / f"{self.count:06d}{label}.png")
            self.count += 1

    def close(self, about: dict[str, Any]) -> None:
        (self.path / "about.json").write_text(json.dumps(about, indent=2) + "\n")


def open_writer(path: Path, spec: DataSpec, columns: int | None = None) -> Archive | Grid | Folder:
    """The writer that a path asks for by its suffix: .png (of `columns`), .npz, or none for a folder.

    Raises:
        UserError: another suffix, a place that can't be written, a folder with something in it, or data that
            can't be drawn.
    """
    kinds = {".png": Grid, ".npz": Archive, "": Folder}
    kind = Folder if path.is_dir() else kinds.get(path.suffix.lower())
    require(kind is not None, "out", str(path), "FILE.png, FILE.npz or a folder", "choose one of these")
    try:
        writer = Grid(path, spec, columns) if kind is Grid else kind(path, spec)
    except OSError as error:
        raise UserError(
            f"out: got {str(path)!r}, expected a writable place ({error.strerror}); pass another --out"
        ) from error
    place = path if kind is Folder else path.parent
    require(os.access(place, os.W_OK), "out", str(path), "a writable place", "pass another --out")
    return writer


def _is_picture(spec: DataSpec) -> bool:
    return spec.data == "image" and spec.shape[0] in (1, 3)


def _require_drawable(drawable: bool, path: Path, spec: DataSpec) -> None:
    expected = f"FILE.npz, since {spec.data} of shape {spec.shape} can't be drawn there"
    require(drawable, "out", str(path), expected, "pass --out FILE.npz")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when all went well."""
    if path.exists() and not path.is_file():
        yield path  # /dev/null and its like are written to: root could replace them
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise WorkError(
            f"out: could not write {path} ({error.strerror or error}); what was there is intact"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
