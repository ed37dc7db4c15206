"""Regularisers of a critic's gradient, never in half precision, whatever autocast says."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.core import expand_like, full_precision, sum_per_sample

Critic = Callable[[Tensor], Tensor]  # of samples (B, ...), their condition bound: values (B,)


class CriticRegulariser(ABC):
    """A term that is added to the critic's loss in every `interval`-th critic step, logged by its `name`."""

    name: str
    interval: int
    differentiates_twice = True

    @abstractmethod
    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """The penalty, its weight and the interval included, of each sample, (B,) or (k B,) as those that it is of."""


def squared_gradient_norm(critic: Critic, x: Tensor) -> Tensor:
    """||grad_x D(x)||^2 per sample, (B,), differentiable in the critic's parameters.

    >>> squared_gradient_norm(lambda x: 3 * x[:, 0] + 4 * x[:, 1], torch.zeros(2, 2)).tolist()
    [25.0, 25.0]
    """
    # A sum over samples gives each its own gradient only because no layer of the critic mixes samples.
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = full_precision(x.detach()).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        return sum_per_sample(gradient.square())


@dataclass(frozen=True)
class R1(CriticRegulariser):
    """gamma / 2 ||grad_x D(x)||^2 on real samples.

    Args:
        gamma: weight.
        interval: apply it in every n-th critic step only, n times as strong (lazy regularisation).

    Source: Mescheder, Geiger and Nowozin 2018, eq. 9; Karras et al. 2020, appendix B (lazy).
    """

    gamma: float = 1.0
    interval: int = 1
    name: str = "r1"

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * self.gamma * self.interval * squared_gradient_norm(critic, real)


@dataclass(frozen=True)
class R2(R1):
    """gamma / 2 ||grad_x D(x)||^2 on generated samples (Mescheder et al. 2018, eq. 10)."""

    name: str = "r2"

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * self.gamma * self.interval * squared_gradient_norm(critic, fake)


@dataclass(frozen=True)
class GradientPenalty(CriticRegulariser):
    """weight (||grad_x D(x)|| - target)^2 at points between a real and a generated sample.

    x = u real + (1 - u) fake, u ~ U(0, 1) per sample

    Args:
        weight: lambda in the paper.
        target: norm that is asked for; 1 makes the critic 1-Lipschitz.
        interval: apply it in every n-th critic step only, n times as strong.

    Source: Gulrajani et al. 2017, eq. 3.
    """

    weight: float = 10.0
    target: float = 1.0
    interval: int = 1
    name: str = "gradient_penalty"

    def __call__(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        fake = full_precision(fake)
        real = full_precision(real).repeat(len(fake) // len(real), *[1] * (real.dim() - 1))
        u = expand_like(torch.rand(len(real), dtype=real.dtype, device=real.device), real)
        norm = (squared_gradient_norm(critic, torch.lerp(fake, real, u)) + 1e-12).sqrt()
        return self.weight * self.interval * (norm - self.target).square()
