"""The evidence lower bound of a ladder of latents, whose KL is a sum over levels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability import Level


class LadderELBO:
    """Loss -E_q log p(x | z) + beta sum_l max(lambda, KL_l): the negative ELBO at beta = 1, lambda = 0.

    KL_l is KL(q(z_l | z_<l, x) || p(z_l | z_<l)), for the free bits lambda its mean over the batch of this process:
    a level that says less than that is not pushed to say still less. Terms, in nats: `elbo` (always at beta = 1,
    lambda = 0), `reconstruction` (-E_q log p(x | z)), `kl`, and `kl_l` of each level, the top one's first.

    Args:
        free_bits: lambda in nats per level, a non-negative number.
        warmup: steps over which beta rises from 0 to 1, linearly.

    Raises:
        UserError: an argument is negative.

    Source: Sonderby et al. 2016, "Ladder variational autoencoders", section 2.3 (warm-up); Kingma et al. 2016,
    "Improving variational inference with inverse autoregressive flow", eq. 15 (free bits).

    >>> loss, terms = LadderELBO(free_bits=0.5)(torch.ones(2), torch.tensor([[1.0, 3.0], [0.1, 0.3]]))
    >>> loss, round(terms["elbo"].item(), 4), round(terms["kl_2"].item(), 4)
    (tensor([2.5000, 4.5000]), -3.2, 0.2)
    """

    def __init__(self, free_bits: float = 0.0, warmup: int = 0):
        require(free_bits >= 0, "free_bits", free_bits, "a non-negative number of nats", "use 0 for none")
        require(warmup >= 0, "warmup", warmup, "a non-negative number of steps", "use 0 for no warm-up")
        self.free_bits, self.warmup = free_bits, warmup

    def __call__(
        self, reconstruction: Tensor, kls: Tensor, step: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss in nats per sample, (B,), and named terms as scalars.

        Args:
            reconstruction: -log p(x | z) in nats, (B,).
            kls: KL_l in nats, from the top, (L, B).
            step: optimiser steps done; None is the warm-up's end.
        """
        means = kls.mean(1)
        paid = torch.where(means[:, None] > self.free_bits, kls, self.free_bits) if self.free_bits else kls
        beta = min(1.0, step / self.warmup) if self.warmup and step is not None else 1.0
        terms = {"elbo": -(reconstruction.mean() + means.sum()), "reconstruction": reconstruction.mean()}
        terms |= {"kl": means.sum(), **{f"kl_{level}": kl for level, kl in enumerate(means, 1)}}
        return reconstruction + beta * paid.sum(0), terms


def ladder_log_weight(log_p: Tensor, levels: Sequence[Level]) -> Tensor:
    """log p(x, z) / q(z | x) = log p(x | z) + sum_l log p(z_l | z_<l) / q(z_l | z_<l, x) in nats, (B,).

    Args:
        log_p: log p(x | z) in nats, (B,).
        levels: those of z, which was drawn from q.

    Source: Burda et al. 2016, "Importance weighted autoencoders", eq. 8 and section 4 on several stochastic layers.
    """
    return log_p + sum(level.log_weight() for level in levels)
