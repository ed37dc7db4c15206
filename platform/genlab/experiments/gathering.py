"""Sharded weights are whole where other methods of a module than `forward` compute with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import getattr_static, isfunction
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor


class Gathering:
    """Gathers a module's weights for its other public methods, as `fully_shard` does for `forward`.

    Without gradients it stays whole until the family's method that this happens in returns: decoding keeps
    what `start` has read of the weights, which `step` uses once per token. With them each call gathers and frees.

    >>> from genlab.networks.causal_block import CausalBlock
    >>> other_methods(CausalBlock)
    ['step']
    """

    def __init__(self) -> None:
        self._kept: list[FSDPModule] | None = None

    def gather_for_methods(self, module: FSDPModule) -> None:
        """Have all of a sharded module's own methods find its weights whole, and `forward` in inference mode, too."""
        module.register_forward_pre_hook(outside_inference_mode, prepend=True)
        place = next(own_weights(module), None)
        for name in other_methods(type(module)) if place else ():
            plain = getattr(module, name)
            register_fsdp_forward_method(module, name)
            setattr(module, name, self._gathered(module, plain, getattr(module, name), *place))

    def free_after(self, family: nn.Module, name: str) -> None:
        """What is gathered within this method of a family is kept until its end."""
        method = getattr(family, name)

        @wraps(method)
        def wrapped(*args: Any, **named: Any) -> Any:
            with self._keeping():
                return method(*args, **named)

        setattr(family, name, wrapped)

    def _gathered(
        self,
        module: FSDPModule,
        plain: Callable[..., Any],
        registered: Callable[..., Any],
        owner: nn.Module,
        weight: str,
    ) -> Callable[..., Any]:
        @wraps(plain)
        def wrapped(*args: Any, **named: Any) -> Any:
            if not isinstance(getattr(owner, weight), DTensor):  # within its own `forward`, or kept
                return plain(*args, **named)
            if torch.is_grad_enabled():
                return registered(*args, **named)
            with self._keeping() as kept:
                gather(module)
                module.set_reshard_after_forward(False, recurse=False)
                kept.append(module)
                return plain(*args, **named)

        return wrapped

    @contextmanager
    def _keeping(self) -> Iterator[list[FSDPModule]]:
        """The modules that are kept whole; the outermost of these contexts frees them."""
        if self._kept is not None:
            yield self._kept
            return
        self._kept = kept = []
        try:
            yield kept
        finally:
            self._kept = None
            for module in kept:
                module.set_reshard_after_forward(True, recurse=False)
                module.reshard()


def outside_inference_mode(module: FSDPModule, _: tuple[Any, ...]) -> None:
    """A hook before `forward`, and before that which gathers."""
    if torch.is_inference_mode_enabled():
        gather(module)


def gather(module: FSDPModule) -> None:
    """Make a sharded module's weights whole, without gradients.

    The tensors that they are gathered into are made once: made in inference mode, they would be refused in training.
    """
    with torch.inference_mode(False), torch.no_grad():
        module.unshard()


def other_methods(kind: type[nn.Module]) -> list[str]:
    """Public methods of a class of modules that modules in general don't have."""
    names = [name for name in dir(kind) if not name.startswith("_")]
    base = {*dir(nn.Module), *dir(FSDPModule)}
    return [name for name in names if name not in base and isfunction(getattr_static(kind, name))]


def own_weights(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Where a module's weights are, by owner and name, but those that modules within it gather by themselves."""
    for name, _ in module.named_parameters(recurse=False):
        yield module, name
    for child in module.children():
        if not isinstance(child, FSDPModule):
            yield from own_weights(child)
