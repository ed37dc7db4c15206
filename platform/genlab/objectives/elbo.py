"""Lower bounds on log p(x) of latent-variable models: the ELBO, and the tighter one by importance weights."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from genlab.core import require
from genlab.objectives.latent_penalties import ChecksPosterior, LatentPenalty
from genlab.probability import DiagonalGaussian, LatentDistribution, gaussian_kl, known_kl

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


class LatentObjective(Protocol):
    """What a latent-variable model is trained by: a loss per sample, and what it is made of."""

    def __call__(
        self,
        x: Tensor,
        posterior: LatentDistribution,
        prior: LatentDistribution,
        log_likelihood: LogLikelihood,
        step: int | None = None,
        num_data: int | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss in nats per sample, (B,), and named terms as scalars.

        Args:
            x: data, (B, ...).
            posterior: q(z | x), with mean (B, D).
            prior: p(z).
            log_likelihood: log p(x | z) of x and draws (K, B, D) in nats, (K, B).
            step: optimiser steps done, for what changes over training; None is its end.
            num_data: data in the set that x is from, for what speaks of all of their latents.
        """
        ...


class ELBO:
    """Loss -E_q log p(x | z) + beta KL(q(z | x) || p(z)), the negative evidence lower bound at beta = 1.

    With a capacity C in nats, beta |KL - C| of the batch's mean KL in place of beta KL. Penalties are added to it.
    Terms: `elbo` (nats, always at beta = 1), `reconstruction` (-E_q log p(x | z), nats), `kl` (nats), for two
    diagonal Gaussians `active_dimensions` (those with more than 0.01 nats over the batch), and those of the
    penalties. The KL is in closed form where it is known; any other is estimated at the posterior's draws.

    Args:
        beta: weight of the KL (beta-VAE), a non-negative number.
        warmup: steps over which beta rises from 0, linearly; with a capacity, over which C does.
        num_samples: draws K of the posterior per x.
        capacity: C in nats per sample, on average; None for none.
        penalties: on the latents of the batch, of its first draws.

    Raises:
        UserError: beta, warmup or capacity is negative, or there are no samples.

    Source: Kingma and Welling 2014, "Auto-encoding variational Bayes", eq. 7; Higgins et al. 2017,
    "beta-VAE", eq. 4; Bowman et al. 2016 (warm-up); Burda et al. 2016 (active dimensions); Burgess et al. 2018,
    "Understanding disentangling in beta-VAE", eq. 8 (capacity).
    """

    def __init__(
        self,
        beta: float = 1.0,
        warmup: int = 0,
        num_samples: int = 1,
        capacity: float | None = None,
        penalties: Sequence[LatentPenalty] = (),
    ):
        require(beta >= 0, "beta", beta, "a non-negative number", "use 1 for the ELBO itself")
        require(warmup >= 0, "warmup", warmup, "a non-negative number of steps", "use 0 for no warm-up")
        require(num_samples >= 1, "num_samples", num_samples, "a positive integer", "use 1")
        known = capacity is None or capacity >= 0
        require(known, "capacity", capacity, "a non-negative number of nats", "use null for none")
        self.beta, self.warmup, self.num_samples = beta, warmup, num_samples
        self.capacity, self.penalties = capacity, list(penalties)

    def check(self, posterior: LatentDistribution) -> None:
        """Refuse a posterior that a penalty can't be computed of.

        Raises:
            UserError: naming `posterior`.
        """
        for penalty in self.penalties:
            if isinstance(penalty, ChecksPosterior):
                penalty.check(posterior)

    def risen(self, step: int | None) -> float:
        """The share of its end that the weight or the capacity has reached after `step` steps.

        >>> [ELBO(warmup=10).risen(step) for step in (0, 5, 20, None)]
        [0.0, 0.5, 1.0, 1.0]
        """
        return min(1.0, step / self.warmup) if self.warmup and step is not None else 1.0

    def cost(self, kl: Tensor, step: int | None) -> Tensor:
        """The KL's part of the loss, (B,), of KLs (B,) in nats.

        >>> ELBO(beta=2.0, warmup=10).cost(torch.ones(1), step=5)
        tensor([1.])
        >>> ELBO(beta=2.0, warmup=10, capacity=4.0).cost(torch.ones(1), step=5)
        tensor([2.])
        """
        if self.capacity is None:
            return self.beta * self.risen(step) * kl
        # Of the mean: sprites whose every sample had to spend C were left with latents that said nothing of them.
        return self.beta * (kl.mean() - self.capacity * self.risen(step)).abs().expand_as(kl)

    def __call__(
        self,
        x: Tensor,
        posterior: LatentDistribution,
        prior: LatentDistribution,
        log_likelihood: LogLikelihood,
        step: int | None = None,
        num_data: int | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        z, log_q = posterior.draw(torch.randn(self.num_samples, *posterior.mean.shape, device=x.device))
        reconstruction = -log_likelihood(x, z).mean(0)
        kl, terms = divergence(posterior, prior, z, log_q)
        loss = reconstruction + self.cost(kl, step)
        elbo = -(reconstruction + kl)
        for penalty in self.penalties:
            value, more = penalty(posterior, prior, z[0], num_data)
            loss, terms = loss + value, {**terms, **more}
        return loss, {"elbo": elbo.mean(), "reconstruction": reconstruction.mean(), "kl": kl.mean(), **terms}


class IWAE:
    """Loss -E log (1/K) sum_k p(x, z_k) / q(z_k | x), z_k ~ q(z | x): tighter than the ELBO as K grows.

    Terms: `elbo` (that of the same draws), `iwae`, `kl` and `active_dimensions` as the ELBO's.

    Args:
        num_samples: K.

    Raises:
        UserError: there are no samples.

    Source: Burda et al. 2016, "Importance weighted autoencoders", eq. 8.
    """

    def __init__(self, num_samples: int = 8):
        require(num_samples >= 1, "num_samples", num_samples, "a positive integer", "use 8")
        self.num_samples = num_samples

    def __call__(
        self,
        x: Tensor,
        posterior: LatentDistribution,
        prior: LatentDistribution,
        log_likelihood: LogLikelihood,
        step: int | None = None,
        num_data: int | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        z, log_q = posterior.draw(torch.randn(self.num_samples, *posterior.mean.shape, device=x.device))
        log_w = log_likelihood(x, z) - (log_q() - prior.log_prob(z))
        bound = log_mean_exp(log_w)
        kl, terms = divergence(posterior, prior, z, log_q)
        return -bound, {"elbo": log_w.mean(), "iwae": bound.mean(), "kl": kl.mean(), **terms}


def divergence(
    posterior: LatentDistribution, prior: LatentDistribution, z: Tensor, log_q: Callable[[], Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """KL(q || p) per sample, (B,), and the number of active dimensions where each has a KL of its own.

    Args:
        posterior: q.
        prior: p.
        z: draws of q, (K, B, D), at which log q - log p is averaged where there is no closed form.
        log_q: gives log q(z), (K, B).
    """
    if isinstance(posterior, DiagonalGaussian) and isinstance(prior, DiagonalGaussian):
        per_dimension = gaussian_kl(posterior, prior)
        active = (per_dimension.detach().mean(0) > 0.01).sum().to(z)
        return per_dimension.sum(-1), {"active_dimensions": active}
    known = known_kl(posterior, prior)
    return ((log_q() - prior.log_prob(z)).mean(0) if known is None else known), {}


def log_mean_exp(log_w: Tensor) -> Tensor:
    """log (1/K) sum_k exp(log_w_k) over the first dimension, without overflow: (K, ...) -> (...).

    >>> log_mean_exp(torch.tensor([[-2000.0], [-2000.0]])).item()
    -2000.0
    """
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))
