"""torch.compile for the networks of any family."""

from collections.abc import Iterator

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import nn

from genlab.core import Frozen
from genlab.objectives import DenoiserObjective


class Compile(Callback):
    """Compiles each network of a family (its submodules with weights) in place, when training starts.

    The names of weights stay as they are, so that checkpoints are the same with and without it. Where an objective
    differentiates a network twice (score matching by the divergence, a penalty of gradients), which compiled code
    can't, none is compiled.

    Args:
        mode: of torch.compile: "default", "reduce-overhead" (CUDA graphs), "max-autotune".
        dynamic: shapes that change without compiling anew; None finds out.
    """

    def __init__(self, mode: str = "default", dynamic: bool | None = None):
        self.mode, self.dynamic = mode, dynamic

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        frozen = {m for f in pl_module.modules() if isinstance(f, Frozen) for m in f.modules()}
        free = (module for module in pl_module.modules() if module not in frozen)
        parts = [part for module in free for part in (module, *vars(module).values())]
        twice = [type(part).__name__ for part in parts if getattr(part, "differentiates_twice", False)]
        if twice:
            rank_zero_warn(f"{twice[0]} differentiates its network twice: it is not compiled")
            return
        torch._dynamo.config.cache_size_limit = max(64, torch._dynamo.config.cache_size_limit)
        for network in networks(pl_module):
            learns = any(p.requires_grad for p in network.parameters())
            if learns and not isinstance(network, DenoiserObjective):  # which would take the network inside
                network.compile(mode=self.mode, dynamic=self.dynamic)


def networks(pl_module: LightningModule) -> Iterator[nn.Module]:
    """A family's submodules; of those that are families themselves, theirs."""
    for module in pl_module.children():
        yield from networks(module) if isinstance(module, LightningModule) else [module]
