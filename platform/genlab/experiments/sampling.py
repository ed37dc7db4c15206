"""Drawing samples from a loaded model in batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genlab.core import CanSample, Condition, RandomStreams, WorkError, invalid, require, why_no_samples
from genlab.experiments.loading import Loaded


@dataclass(frozen=True)
class Request:
    """Which samples: numbers first..first+num-1 of the streams of `seed`, of class `label` or spread evenly (None).

    Raises:
        UserError: a number is not positive.
    """

    num: int
    seed: int = 0
    label: int | None = None
    batch_size: int = 256
    first: int = 0

    def __post_init__(self) -> None:
        require(self.num > 0, "num", self.num, "at least 1", "pass --num 64")
        require(self.first >= 0, "first", self.first, "0 or more", "pass 0")
        require(self.batch_size > 0, "batch_size", self.batch_size, "at least 1", "pass --batch_size 256")


def draw(loaded: Loaded, request: Request) -> Iterator[dict[str, Tensor]]:
    """Batches of samples on the CPU, keyed as the data are, with `label` where the model is conditional.

    Sample i depends on (seed, i) alone, to float tolerance, whatever the batch size: its noise comes from the
    i-th random stream, and its class, unless one is asked for, is i modulo the number of classes.

    Raises:
        UserError: the model can't sample, or the request makes no sense for it.
    """
    check(loaded, request)
    device = loaded.model.device
    end = request.first + request.num
    for start in range(request.first, end, request.batch_size):
        numbers = range(start, min(start + request.batch_size, end))
        labels = labels_of(numbers, request.label, num_classes(loaded))
        condition = None if labels is None else Condition(label=labels.to(device))
        rng = RandomStreams(request.seed, numbers, device)
        with torch.no_grad():
            samples = loaded.model.sample(len(numbers), condition=condition, rng=rng).float().cpu()
        require_samples(samples, numbers)
        batch = {loaded.spec.data: samples.clamp(-1, 1) if loaded.spec.data == "image" else samples}
        yield batch if labels is None else {**batch, "label": labels}


def require_samples(x: Tensor, numbers: range) -> None:
    """Refuse samples that are no numbers, which pictures and features would hide.

    Raises:
        WorkError: how many of them.
    """
    bad = int((~x.reshape(len(x), -1).isfinite().all(1)).sum())
    if bad:
        which = f"{bad} of samples {numbers.start} to {numbers.stop - 1} are not finite"
        raise WorkError(f"{which}: the weights are not, or guidance is too strong, or steps are too few")


def check(loaded: Loaded, request: Request) -> None:
    """Refuse what can't be sampled before any work is done."""
    model, classes = loaded.model, num_classes(loaded)
    name = type(model).__name__
    lacks = why_no_samples(model)
    require(not lacks, "ckpt", name, "a family that can sample", f"{lacks}: choose another checkpoint")
    if request.label is not None:
        require(
            classes > 0, "label", request.label, f"none: this {name} is unconditional", "leave --label away"
        )
        ok = 0 <= request.label < classes
        require(ok, "label", request.label, f"0 to {classes - 1}", f"choose one of {classes} classes")


def num_classes(loaded: Loaded) -> int:
    """Classes that the model can be asked for; 0 for an unconditional one."""
    return loaded.spec.num_classes if loaded.model.conditional else 0


def labels_of(numbers: range, label: int | None, classes: int) -> Tensor | None:
    """The classes of samples `numbers`: the one asked for, else i modulo `classes`; None without classes."""
    if not classes:
        return None
    labels = torch.arange(numbers.start, numbers.stop)
    return labels % classes if label is None else torch.full_like(labels, label)


def about(loaded: Loaded, request: Request) -> dict[str, Any]:
    """How the samples were made, as primitives."""
    return {
        "checkpoint": str(loaded.path),
        "step": loaded.step,
        "weights": loaded.weights,
        "seed": request.seed,
        "label": request.label,
        "sampler": loaded.model.sampling_protocol() if isinstance(loaded.model, CanSample) else None,
        "genlab": loaded.meta.get("genlab"),
        "commit": loaded.meta.get("commit"),
        **({"changed": dict(loaded.changes)} if loaded.changes else {}),
    }


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """A device by its name; "auto" is the accelerator of this rank on its node, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        there = torch.accelerator.is_available()
        if not there:
            return torch.device("cpu")
        index = local_rank % max(1, torch.accelerator.device_count())
        return torch.device(torch.accelerator.current_accelerator().type, index)
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise invalid("device", name, "a device of this machine", "pass --device auto or cpu") from error
    return device
