"""The two sides of an evaluation: reference samples, and generated ones."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, UserError
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import num_classes, require_samples
from genlab.experiments.world import ALONE, World
from genlab.metrics.extractors import Extractor
from genlab.metrics.reference import gather_data, reference_set
from genlab.metrics.sample_set import SampleSet, describe

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def silent(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar that shows nothing."""
    yield lambda amount: None


def split_set(
    data: Any, split: str, num: int | None, extractor: Extractor, device: torch.device
) -> SampleSet:
    """The first `num` samples of a DataModule's split with their features, kept on disk."""
    values = gather_data(data.batches(split, num=num), data.spec.data)
    key = {"data": data.spec.name, "hash": data.fingerprint(split), "split": split, "num": len(values[0])}
    return reference_set(values, data.spec, extractor, key, device)


def folder_data(folder: Path, loaded: Loaded) -> Any:
    """A DataModule of one's own images, cropped and resized to what the model makes.

    Raises:
        UserError: the model makes no square images, or there are none in the folder.
    """
    from genlab.data import ImageFolder

    shape = loaded.spec.shape
    if loaded.spec.data != "image" or shape[1] != shape[2] or shape[0] not in (1, 3):
        raise UserError(f"reference: got {str(folder)!r}, expected a model of square images; leave it out")
    workers = min(4, os.cpu_count() or 1)
    return ImageFolder(str(folder), size=shape[1], channels=shape[0], num_workers=workers)


def folder_set(data: Any, extractor: Extractor, device: torch.device) -> SampleSet:
    """All images of a folder; ImageFolder's splits put together."""
    parts = [split_set(data, split, None, extractor, device) for split in ("train", "val", "test")]
    return SampleSet.cat([SampleSet(p.x, p.features, logits=p.logits) for p in parts])


def generate(
    loaded: Loaded,
    real: SampleSet,
    draws: int,
    extractor: Extractor,
    *,
    seed: int,
    batch_size: int,
    progress: Progress = silent,
    world: World = ALONE,
    sample: Callable[..., Tensor] | None = None,
) -> SampleSet | None:
    """`draws` times as many samples as real ones, with the labels of these (else spread evenly) for a model of classes.

    Sample i of draw d has the noise of stream (seed, d * len(real) + i). Of several processes each draws its
    batches, and the first gets all; the others get None. `sample` takes the place of the model's own.
    """
    sample = sample or loaded.model.sample
    device = next(loaded.model.parameters()).device
    modality, total = loaded.spec[loaded.spec.data], draws * len(real)
    labels: Tensor | None = None
    if classes := num_classes(loaded):
        labels = torch.arange(total) % classes if real.labels is None else real.labels.repeat(draws)
    sets: dict[int, SampleSet] = {}
    with progress("sampling", total) as advance:
        for block, start in enumerate(range(0, total, batch_size)):
            if not world.owns(block):
                continue
            rows = range(start, min(start + batch_size, total))
            asked = None if labels is None else labels[rows.start : rows.stop]
            condition = None if asked is None else Condition(label=asked.to(device))
            with torch.inference_mode():
                rng = RandomStreams(seed, rows, device)
                x = sample(len(rows), condition=condition, rng=rng)
            require_samples(x, rows)
            sets[block] = describe(x, asked, modality, extractor, device=device)
            advance(len(rows) * world.size)
    whole = world.gather(sets)
    return SampleSet.cat(whole) if whole else None
