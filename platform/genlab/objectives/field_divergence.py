"""The divergence of a field, exact and along random directions, as a loss may hold it: differentiable again."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.core import sum_per_sample

Pull = Callable[[Tensor], tuple[Tensor]]


def with_pullback(field: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Pull]:
    """The field at x (B, ...), and v -> v^T (d field / dx), (B, ...) -> ((B, ...),), both differentiable."""
    # No trace holds autograd.grad; eagerly, vjp forbids networks to write buffers.
    if torch.compiler.is_compiling():
        return torch.func.vjp(field, x)
    x = x.requires_grad_()
    values = field(x)
    return values, lambda v: torch.autograd.grad(values, x, v, create_graph=True)


def exact_divergence(field: Tensor, pull: Pull) -> Tensor:
    """div field = sum_j d field_j / d x_j per sample, (B,), differentiable; samples must not depend on each other."""
    total = field.new_zeros(len(field))
    for j in range(field[0].numel()):
        v = torch.zeros_like(field).flatten(1)
        v[:, j] = 1
        (gradient,) = pull(v.view_as(field))
        total = total + gradient.flatten(1)[:, j]
    return total


def projected_divergence(pull: Pull, v: Tensor) -> Tensor:
    """v^T (d field / dx) v per sample, (B,), differentiable; its mean over v of covariance I is the divergence."""
    (gradient,) = pull(v)
    return sum_per_sample(gradient * v)
