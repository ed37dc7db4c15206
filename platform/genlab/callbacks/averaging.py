"""Which tensors an average of weights covers, and how fast it forgets."""

import math

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from genlab.callbacks.sharded import cut_like
from genlab.core import HasAveragedModules


def effective_decay(decay: float, n: int, ramp_up: bool | float = True) -> float:
    """The decay of an average at optimiser step n, ramped up so that short runs don't drag their start along.

    ramp_up = False: d_n = decay
    ramp_up = True:  d_n = min(decay, (1 + n) / (10 + n))
    ramp_up = r > 0: d_n = 2^(-1 / min(h, r n)), where h = -1 / log2(decay) is the half-life in steps

    Args:
        decay: the decay that is reached in the end, in [0, 1).
        n: optimiser steps before this one, from 0.
        ramp_up: False, True or the ratio r of half-life to training so far.

    Source: True is TensorFlow's `ExponentialMovingAverage(num_updates=n)`; r is `ema_rampup_ratio` (0.05) in
    the code of Karras et al. 2022, "Elucidating the design space of diffusion-based generative models".

    >>> effective_decay(0.999, 0), effective_decay(0.999, 90), effective_decay(0.999, 10**6)
    (0.1, 0.91, 0.999)
    >>> effective_decay(0.999, 0, 0.05), round(effective_decay(0.999, 200, 0.05), 4)
    (0.0, 0.933)
    """
    if ramp_up is True:
        return min(decay, (1 + n) / (10 + n))
    if not ramp_up or decay == 0:
        return decay
    half_life = min(-1 / math.log2(decay), ramp_up * n)
    return 2 ** (-1 / half_life) if half_life else 0.0


def averaged_tensors(pl_module: pl.LightningModule) -> dict[str, Tensor]:
    """The live tensors that are averaged, by their names in the state dict.

    These are the trainable parameters of the modules that `HasAveragedModules` names (of the whole module
    without that capability), the running mean and variance of their batch norms, which must follow the averaged
    weights, and the buffers that a module names in its attribute `averaged_buffers`: what learns without gradients,
    as a codebook. Other buffers stay as they are: constants, counters, and spectral norm's vectors, whose unit
    length an average would lose.
    """
    roots = pl_module.averaged_modules() if isinstance(pl_module, HasAveragedModules) else [""]
    found: dict[str, Tensor] = {}
    for root in roots:
        for prefix, module in pl_module.get_submodule(root).named_modules(prefix=root):
            own = dict(module.named_parameters(recurse=False))
            trained = {name: p for name, p in own.items() if p.requires_grad}
            if isinstance(module, nn.modules.batchnorm._NormBase) and (trained or not own):
                trained |= {
                    name: b for name, b in module.named_buffers(recurse=False) if b.is_floating_point()
                }
            trained |= {name: module.get_buffer(name) for name in getattr(module, "averaged_buffers", ())}
            found |= {f"{prefix}.{name}".lstrip("."): tensor for name, tensor in trained.items()}
    unique: dict[int, str] = {}  # tied weights have several names; the first one counts
    for name, tensor in found.items():
        unique.setdefault(id(tensor), name)
    return {name: found[name] for name in unique.values()}


def average_of(live: Tensor, old: Tensor | None) -> Tensor:
    """The average of `live`: `old` on its device, or else a copy of it in float32 at least."""
    if old is not None:
        return cut_like(old, live)
    return live.detach().to(torch.promote_types(live.dtype, torch.float32), copy=True)
