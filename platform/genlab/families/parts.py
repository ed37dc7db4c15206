"""Families as parts of families: what is asked of them, and what of them is averaged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.func import functional_call

from genlab.core import DataSpec, HasAveragedModules, require
from genlab.families.schedules import Constant

PartFactory = Callable[[DataSpec], nn.Module]


def check_part(argument: str, part: nn.Module, *capabilities: type) -> None:
    """Refuse a part that lacks a capability.

    Raises:
        UserError: naming the argument and the capability.

    >>> from genlab.core import CanEncode
    >>> check_part("first_stage", nn.Linear(2, 2), CanEncode)
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: first_stage: got 'Linear', expected a family with CanEncode; choose another one
    """
    for capability in capabilities:
        expected = f"a family with {capability.__name__}"
        require(isinstance(part, capability), argument, type(part).__name__, expected, "choose another one")


def check_untrained(argument: str, part: nn.Module) -> None:
    """Refuse a part with an optimiser or a schedule other than every family's own, which nobody would use.

    Raises:
        UserError: naming the argument.
    """
    weight = nn.Parameter(torch.zeros(1))
    if (factory := getattr(part, "optimizer", None)) is not None:
        given, usual = factory([weight]), torch.optim.AdamW([weight])
        same = type(given) is type(usual) and given.defaults == usual.defaults
        _leave(same, f"{argument}.optimizer", type(given).__name__)
    schedule = getattr(part, "schedule", Constant())
    _leave(schedule == Constant(), f"{argument}.schedule", repr(schedule))


def _leave(same: bool, argument: str, got: str) -> None:
    require(same, argument, got, "none of its own: parts are trained together", "give it to the whole")


def averaged_part(name: str, part: nn.Module) -> list[str]:
    """Names of the submodules of part `name` of which an average is wanted."""
    if isinstance(part, HasAveragedModules):
        return [f"{name}.{below}" for below in part.averaged_modules()]
    return [name]


def held(part: nn.Module) -> Callable[..., Tensor]:
    """The part as a function that gives its parameters no gradients, only what went through it.

    >>> layer, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    >>> held(layer)(x).sum().backward()
    >>> layer.weight.grad is None, torch.equal(x.grad, layer.weight)
    (True, True)
    """

    def call(*inputs: object) -> Tensor:
        if any(isinstance(module, FSDPModule) for module in part.modules()):
            # Sharded weights are put together where the part is called by itself.
            with _without_gradients(part):
                return part(*inputs)
        return functional_call(part, {name: p.detach() for name, p in part.named_parameters()}, inputs)

    return call


@contextmanager
def _without_gradients(part: nn.Module) -> Iterator[None]:
    free = [p for p in part.parameters() if p.requires_grad]
    for p in free:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in free:
            p.requires_grad_(True)


def scaled_gradient(z: Tensor, factor: float) -> Tensor:
    """z itself, of whose gradient a multiple goes on.

    >>> z = torch.ones(1, requires_grad=True)
    >>> scaled_gradient(z, 0.5).backward()
    >>> z.grad
    tensor([0.5000])
    """
    return z.detach() + factor * (z - z.detach())
