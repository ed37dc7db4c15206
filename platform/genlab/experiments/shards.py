"""Many samples as shards: each is a file that is there whole or not at all, so that drawing them can be restarted."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from genlab.core import UserError, require
from genlab.experiments.loading import Loaded
from genlab.experiments.run_dir import write_atomic
from genlab.experiments.sample_files import Archive
from genlab.experiments.sampling import Request, about, draw
from genlab.experiments.world import World


@dataclass(frozen=True)
class Shards:
    """The samples of a request, `size` to a file: shard k holds numbers k * size ... in `shard_<k>.npz`.

    >>> [len(Shards(Path("out"), Request(num=25), 10).numbers(k)) for k in range(3)]
    [10, 10, 5]

    Args:
        folder: where the files go.
        request: all samples.
        size: samples per file.

    Raises:
        UserError: the size is not positive.
    """

    folder: Path
    request: Request
    size: int

    def __post_init__(self) -> None:
        require(self.size > 0, "shard_size", self.size, "at least 1", "pass --shard_size 10000")

    def __len__(self) -> int:
        return -(-self.request.num // self.size)

    def numbers(self, shard: int) -> range:
        """The samples of a shard."""
        first = self.request.first
        return range(first + shard * self.size, first + min((shard + 1) * self.size, self.request.num))

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"shard_{shard:06d}.npz"

    def missing(self) -> list[int]:
        """Shards that are not there yet."""
        return [shard for shard in range(len(self)) if not self.path(shard).is_file()]

    def begin(self, loaded: Loaded) -> None:
        """Make the folder, or see that it holds shards of these very samples.

        Raises:
            UserError: it holds others, or cannot be written.
        """
        ours = {**about(loaded, self.request), "num": self.request.num, "shard_size": self.size}
        ours["batch_size"] = self.request.batch_size
        held = self.folder / "about.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            theirs = json.loads(held.read_text()) if held.is_file() else None
            if theirs is None:
                write_atomic(held, json.dumps(ours, indent=2) + "\n")
        except OSError as error:
            raise UserError(
                f"out: got {str(self.folder)!r}, expected a writable folder ({error.strerror}); pass another --out"
            ) from error
        for key in (
            "checkpoint",
            "step",
            "weights",
            "seed",
            "label",
            "sampler",
            "changed",
            "num",
            "shard_size",
            "batch_size",
        ):
            if theirs is not None and theirs.get(key) != json.loads(json.dumps(ours.get(key))):
                raise UserError(
                    f"out: {self.folder} holds samples with {key} {theirs.get(key)!r}, expected {ours.get(key)!r}; "
                    "pass the same arguments to continue them, or another --out"
                )

    def draw(self, loaded: Loaded, shards: list[int], advance: Callable[[int], None]) -> None:
        """Draw these shards, each written when it is whole."""
        for shard in shards:
            path, numbers = self.path(shard), self.numbers(shard)
            for left in self.folder.glob(f".{path.name}.*.tmp"):  # by a kill in the middle of a write
                left.unlink(missing_ok=True)
            archive = Archive(path, loaded.spec)
            part = replace(self.request, first=numbers.start, num=len(numbers))
            done = numbers.start
            for batch in draw(loaded, part):
                count = len(batch[loaded.spec.data])
                archive.add({**batch, "id": torch.arange(done, done + count)})
                done += count
                advance(count)
            archive.close({**about(loaded, part), "first": numbers.start, "num": len(numbers)})


def dealt(shards: list[int]) -> list[int]:
    """This process's share of them: every task of a SLURM array and every rank within it takes its turn."""
    world, get = World.current(), os.environ.get
    count, index = int(get("SLURM_ARRAY_TASK_COUNT") or 1), 0
    if count > 1:
        first, last = int(os.environ["SLURM_ARRAY_TASK_MIN"]), int(os.environ["SLURM_ARRAY_TASK_MAX"])
        step = int(get("SLURM_ARRAY_TASK_STEP") or 1)
        even = first + (count - 1) * step == last
        require(
            even, "array", f"{count} tasks from {first} to {last}", "evenly spaced ones", "use --array=0-7"
        )
        index = (int(os.environ["SLURM_ARRAY_TASK_ID"]) - first) // step
    workers, mine = count * world.size, index * world.size + world.rank
    return [shard for shard in shards if shard % workers == mine]
