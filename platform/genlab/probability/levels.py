"""One level of a ladder of latents: its prior given the levels above, its posterior, and a draw."""

from dataclasses import dataclass

from torch import Tensor

from genlab.core import sum_per_sample
from genlab.probability.divergences import DiagonalGaussian, gaussian_kl


@dataclass(frozen=True)
class Level:
    """p(z_l | z_<l), q(z_l | z_<l, x), and z_l itself, over maps (B, C, ...).

    Args:
        prior: p, given the levels above.
        posterior: q, given these and x; None where there is no x.
        z: the level's latents.

    >>> import torch
    >>> zeros = torch.zeros(1, 2, 3, 3)
    >>> level = Level(DiagonalGaussian(zeros, zeros), DiagonalGaussian(zeros + 1, zeros), zeros)
    >>> level.kl().item(), level.log_weight().item(), level.noise().shape
    (9.0, 9.0, torch.Size([1, 18]))
    """

    prior: DiagonalGaussian
    posterior: DiagonalGaussian | None
    z: Tensor

    def kl(self) -> Tensor:
        """KL(q(z_l | z_<l, x) || p(z_l | z_<l)) in nats, given these z_<l, in closed form: (B,)."""
        return sum_per_sample(gaussian_kl(self.posterior, self.prior))

    def log_weight(self) -> Tensor:
        """log p(z_l | z_<l) - log q(z_l | z_<l, x) of this z_l: (B,)."""
        log_p, log_q = (law.log_prob_per_dimension(self.z) for law in (self.prior, self.posterior))
        return sum_per_sample(log_p - log_q)

    def noise(self) -> Tensor:
        """eps with z_l = mu + sigma eps by the prior N(mu, sigma^2): (B, D), standard normal under the model."""
        return ((self.z - self.prior.mean) * (-self.prior.log_scale).exp()).flatten(1)
