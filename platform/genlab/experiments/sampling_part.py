"""The part of a trained model that samples by a solver: found, set for a while, timed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import Frozen, require
from genlab.experiments.loading import Loaded


class Stopwatch:
    """A model's `sample`, and the seconds that it took."""

    def __init__(self, model: nn.Module):
        self.model, self.seconds = model, 0.0

    def __call__(self, *args: Any, **settings: Any) -> Tensor:
        start = time.perf_counter()
        x = self.model.sample(*args, **settings)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        self.seconds += time.perf_counter() - start
        return x


def sampling_part(loaded: Loaded) -> nn.Module:
    """The module of a model that has a solver and a guided denoiser, see `guided_part`.

    Raises:
        UserError: there is none.
    """
    found = guided_part(loaded.model)
    name, remedy = type(loaded.model).__name__, "leave options of solvers and of guidance out"
    require(found is not None, "ckpt", name, "a family that samples by a solver, as Diffusion does", remedy)
    return found


def guided_part(model: nn.Module) -> nn.Module | None:
    """What has a solver and a guided denoiser, if anything: the model itself, or a part of it that is not frozen."""
    frozen = {m for module in model.modules() if isinstance(module, Frozen) for m in module.modules()}
    free = (m for m in model.modules() if m not in frozen)
    return next((m for m in free if hasattr(m, "guided") and hasattr(m, "solver")), None)


@contextmanager
def setting(owner: Any, **values: Any) -> Iterator[None]:
    """Attributes of an object, for a while."""
    before = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
