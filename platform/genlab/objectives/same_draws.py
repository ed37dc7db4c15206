"""Two evaluations of a network that draw the same: the same dropout masks."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SameDraws:
    """What is drawn in `first` is drawn again in `second`, whose draws alone move torch's generators on.

    Eagerly, the generators are put back after `first`. A graph of torch.compile has seeds of its own and knows no
    states of generators: there, dropout's masks are kept and given again, and other draws than these are not the same.

    Args:
        device: on which the network draws.

    >>> draws, x = SameDraws(torch.device("cpu")), torch.ones(5)
    >>> with draws.first():
    ...     one = functional.dropout(x)
    >>> with draws.second():
    ...     other = functional.dropout(x)
    >>> torch.equal(one, other)
    True
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.masks: list[Tensor] = []

    def first(self) -> AbstractContextManager:
        """Of the first evaluation."""
        if torch.compiler.is_compiling():
            return _Kept(self.masks)
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def second(self) -> AbstractContextManager:
        """Of the second evaluation, of the same network."""
        return _Given(self.masks) if torch.compiler.is_compiling() else nullcontext()


class _Kept(TorchFunctionMode):
    """Dropout's masks are appended to a list."""

    def __init__(self, masks: list[Tensor]):
        self.masks = masks

    def __torch_function__(
        self,
        func: Callable,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.dropout:
            return self.dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """x times a mask of 0 and 1 / (1 - p)."""
        return x * self.mask(x, p) if training and p > 0 else x

    def mask(self, x: Tensor, p: float) -> Tensor:
        """A new one, which is kept."""
        self.masks.append(functional.dropout(torch.ones_like(x), p))
        return self.masks[-1]


class _Given(_Kept):
    """Masks are taken from a list, first one first."""

    def mask(self, x: Tensor, p: float) -> Tensor:
        """The first that was kept."""
        return self.masks.pop(0)
