"""Where data are read and runs are written."""

import os
import shutil
from pathlib import Path
from typing import Any

from genlab.core import global_seed
from genlab.data.derived import Derived
from genlab.data.loaders import TrainingLoader, check_batch_size
from genlab.experiments.doctor.check import Fault

LEAST = 2**30  # bytes; a few checkpoints and sample grids


def check_run_directory(root: Path, mark: str, rank: int) -> str:
    """Every rank can write into the runs' directory; the first leaves a mark, by which others know that it is shared.

    Args:
        root: of all runs.
        mark: the name of the file that the first rank leaves.
        rank: of this process.
    """
    remedy = "pass --run.root=DIR with a directory that all nodes share"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / (mark if rank == 0 else f"{mark}.{rank}")
        with open(probe, "w") as file:
            file.write("genlab doctor")
            file.flush()
            os.fsync(file.fileno())
        if rank:
            probe.unlink()
    except OSError as error:
        raise Fault(f"got {str(root)!r}, which cannot be written ({error.strerror}); {remedy}") from error
    free = shutil.disk_usage(root).free
    if free < LEAST:
        raise Fault(f"{root} has {free / 2**20:.0f} MiB left; free some space, or {remedy}")
    return f"{root.resolve()} is writable, {free / 2**30:.0f} GiB free"


def check_shared(root: Path, mark: str) -> str:
    """The first rank's mark is seen from here."""
    if not (root / mark).is_file():
        raise Fault(
            f"got {str(root.resolve())!r}, where the first rank's files are not seen; "
            "pass --run.root=DIR with a directory that all nodes share"
        )
    return "seen by all ranks"


def check_data(data: Any, world_size: int, rank: int = 0) -> str:
    """The training data and the validation split can be read, as training will: this rank's part of its first batch.

    Of data that are made from others, these: what is made of them is made when training starts.
    """
    check_batch_size(data.batch_size, world_size)
    while isinstance(data, Derived):
        data = data.data
    train = data.source("train")
    loader = TrainingLoader(train, data.batch_size, global_seed(), rank, world_size)
    batch = next(iter(train.stream([loader.indices(0)])))
    shape = tuple(batch[data.spec.data].shape[1:])
    next(iter(data.batches("val", batch_size=1, num=1)))
    sizes = f"{len(train):,} training and {data.num_samples('val'):,} validation samples"
    return f"{data.spec.name}, {sizes}, {data.spec.data} of shape {shape}"
