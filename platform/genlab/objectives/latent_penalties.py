"""Penalties on a batch's latents, each of which, added to the ELBO, gives a VAE a name."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability import (
    AggregatePosterior,
    DiagonalGaussian,
    LatentDistribution,
    gaussian_kernel,
    inverse_multiquadratic,
    maximum_mean_discrepancy,
)

Terms = dict[str, Tensor]


class LatentPenalty(Protocol):
    """What is added to the loss: of the latents of a batch together, so never independent per sample."""

    def __call__(
        self, posterior: LatentDistribution, prior: LatentDistribution, z: Tensor, num_data: int | None
    ) -> tuple[Tensor, Terms]:
        """The weighted penalty, (B,) or one number, and its terms without the weight.

        Args:
            posterior: q(z | x) of the batch.
            prior: p(z).
            z: a draw for each x, (B, D).
            num_data: data in the set that the batch is from.
        """
        ...


@runtime_checkable
class ChecksPosterior(Protocol):
    """Knows which posteriors it can be of use with."""

    def check(self, posterior: LatentDistribution) -> None:
        """Refuse other ones, before any training.

        Raises:
            UserError: naming `posterior`.
        """
        ...


class TotalCorrelation:
    """weight KL(q(z) || prod_d q(z_d)), with the ELBO, beta-TCVAE at beta = 1 + weight.

    It is estimated from the batch of this process.
    Terms, in nats: `total_correlation`, `mutual_information` (of the datum's index and z) and `dimension_kl`
    (sum_d KL(q(z_d) || p(z_d))), which add up to the KL. The first and last are per sample given the batch.

    Args:
        weight: over the ELBO's own.
        stratified: which estimate: see `AggregatePosterior.estimate`.

    Raises:
        UserError: the weight is negative; the posterior is no diagonal Gaussian, or the data are not counted.

    Source: Chen et al. 2018, "Isolating sources of disentanglement in VAEs", section 3.
    """

    def __init__(self, weight: float = 5.0, stratified: bool = True):
        require(
            weight >= 0, "weight", weight, "a non-negative number", "the paper's beta is 6: 5 more than 1"
        )
        self.weight, self.stratified = weight, stratified

    def check(self, posterior: LatentDistribution) -> None:
        diagonal(posterior, "a total correlation")

    def __call__(
        self, posterior: LatentDistribution, prior: LatentDistribution, z: Tensor, num_data: int | None
    ) -> tuple[Tensor, Terms]:
        q = diagonal(posterior, "a total correlation")
        require(num_data is not None, "num_data", num_data, "the number of data", "train on a data module")
        q_z = AggregatePosterior.estimate(q, z, num_data, self.stratified)
        correlation = q_z.total_correlation()
        terms = {
            "total_correlation": correlation.mean(),
            "mutual_information": q_z.mutual_information().mean(),
            "dimension_kl": (q_z.marginals - prior.log_prob(z)).mean(),
        }
        return self.weight * correlation, terms


class DIP:
    """off_diagonal sum_{i != j} C_ij^2 + diagonal sum_i (C_ii - 1)^2, C a covariance of latents.

    It is that of the batch of this process. Terms: `covariance_off_diagonal` and `covariance_diagonal`, the two sums.

    Args:
        off_diagonal, diagonal: weights.
        variant: "I", C of the posteriors' means; "II", of z itself, the mean of the posteriors' variances more.

    Raises:
        UserError: a weight is negative, there is no such variant, or the posterior is no diagonal Gaussian in II.

    Source: Kumar et al. 2018, "Variational inference of disentangled latent concepts from unlabeled
    observations", DIP-VAE-I and DIP-VAE-II.
    """

    def __init__(self, off_diagonal: float = 10.0, diagonal: float = 5.0, variant: Literal["I", "II"] = "II"):
        for name, value in {"off_diagonal": off_diagonal, "diagonal": diagonal}.items():
            require(value >= 0, name, value, "a non-negative number", "use 0 for none")
        require(variant in ("I", "II"), "variant", variant, "'I' or 'II'", "choose one of them")
        self.off_diagonal, self.diagonal, self.variant = off_diagonal, diagonal, variant

    def check(self, posterior: LatentDistribution) -> None:
        if self.variant == "II":
            diagonal(posterior, "DIP-VAE-II")

    def __call__(
        self, posterior: LatentDistribution, prior: LatentDistribution, z: Tensor, num_data: int | None
    ) -> tuple[Tensor, Terms]:
        covariance = torch.cov(posterior.mean.T, correction=0).view(z.shape[1], -1)
        if self.variant == "II":
            q = diagonal(posterior, "DIP-VAE-II")
            covariance = covariance + torch.diag((2 * q.log_scale).exp().mean(0))
        squares = (covariance - torch.eye(len(covariance)).to(covariance)).square()
        on = squares.diagonal().sum()
        off = squares.sum() - on
        terms = {"covariance_off_diagonal": off, "covariance_diagonal": on}
        return self.off_diagonal * off + self.diagonal * on, terms


class MMD:
    """weight MMD^2(q(z), p(z)): with the ELBO at beta = 1 - alpha, InfoVAE at weight = alpha + lambda - 1.

    At beta = 0, "MMD-VAE". Term: `mmd`, without bias, from the z of the batch of this process and as many draws of the
    prior.

    Args:
        weight: of it.
        kernel: "gaussian" or "inverse_multiquadratic".
        scale: of the kernel; None for sqrt(D), at which two draws of N(0, I) are a typical distance apart.

    Raises:
        UserError: the weight is negative, the scale not positive, or there is no such kernel.

    Source: Zhao et al. 2019, "InfoVAE: balancing learning and inference in variational autoencoders", section 3.
    """

    KERNELS: dict[str, Callable[..., Tensor]] = {
        "gaussian": gaussian_kernel,
        "inverse_multiquadratic": inverse_multiquadratic,
    }

    def __init__(
        self,
        weight: float = 100.0,
        kernel: Literal["gaussian", "inverse_multiquadratic"] = "gaussian",
        scale: float | None = None,
    ):
        require(weight >= 0, "weight", weight, "a non-negative number", "raise it")
        require(kernel in self.KERNELS, "kernel", kernel, " or ".join(self.KERNELS), "choose one of them")
        require(scale is None or scale > 0, "scale", scale, "a positive number", "use null for sqrt(D)")
        self.weight, self.kernel, self.scale = weight, kernel, scale

    def __call__(
        self, posterior: LatentDistribution, prior: LatentDistribution, z: Tensor, num_data: int | None
    ) -> tuple[Tensor, Terms]:
        if len(z) < 2:  # a last batch of one datum says nothing of a law
            return z.new_zeros(()), {"mmd": z.new_zeros(())}
        kernel = partial(self.KERNELS[self.kernel], scale=self.scale or math.sqrt(z.shape[1]))
        found = maximum_mean_discrepancy(z, prior.sample(torch.randn_like(z)), kernel)
        return self.weight * found, {"mmd": found}


def diagonal(posterior: LatentDistribution, what: str) -> DiagonalGaussian:
    """The posterior, which has to be a diagonal Gaussian.

    Raises:
        UserError: it is not.
    """
    expected = f"a diagonal Gaussian for {what}"
    is_diagonal = isinstance(posterior, DiagonalGaussian)
    require(is_diagonal, "posterior", type(posterior).__name__, expected, "leave out `posterior`")
    return posterior
