"""Times drawn where the loss is large: importance sampling by the history of losses."""

import torch
from torch import Tensor, nn

from genlab.core import require
from genlab.probability.gaussian_path import GaussianPath
from genlab.probability.times import TimeDistribution


class ImportanceTime(nn.Module, TimeDistribution):
    """p(t) ~ sqrt(E[L_t^2]), by the last losses around t; losses are divided by p, so that their mean stays.

    [t_min, t_max] is cut into equal bins, in each of which p is constant; until each of them has a full history, p is
    uniform. The mean of the weighted losses is that under uniform times, with the least variance.

    Args:
        num_bins: of t.
        history: losses that are kept per bin.
        uniform: share of the uniform distribution in p, so that no bin is forgotten.
        stratified: as in `TimeDistribution`.

    Raises:
        UserError: a number is not positive, or the share outside (0, 1].

    Source: Nichol and Dhariwal 2021, eq. 18, with their code's history of 10 and share of 0.001.
    """

    losses: Tensor
    counts: Tensor

    def __init__(
        self, num_bins: int = 100, history: int = 10, uniform: float = 0.001, stratified: bool = False
    ):
        require(num_bins >= 1, "num_bins", num_bins, "at least 1", "use 100")
        require(history >= 1, "history", history, "at least 1", "use 10")
        require(0 < uniform <= 1, "uniform", uniform, "a share in (0, 1]", "use 0.001")
        nn.Module.__init__(self)
        TimeDistribution.__init__(self, stratified)
        self.num_bins, self.history, self.uniform = num_bins, history, uniform
        self.register_buffer("losses", torch.zeros(num_bins, history))
        self.register_buffer("counts", torch.zeros(num_bins, dtype=torch.long))

    def probabilities(self) -> Tensor:
        """p of each bin, (num_bins,)."""
        equal = torch.full_like(self.losses[:, 0], 1 / self.num_bins)
        size = self.losses.square().mean(1).sqrt().clamp(min=torch.finfo(self.losses.dtype).tiny)
        p = (1 - self.uniform) * size / size.sum() + self.uniform * equal
        return torch.where((self.counts >= self.history).all(), p, equal)

    def quantile(self, u: Tensor) -> Tensor:
        p = self.probabilities().to(u)
        ends = p.cumsum(0)
        k = torch.searchsorted(ends, u, right=True).clamp(max=self.num_bins - 1)
        return (k + ((u - ends[k] + p[k]) / p[k]).clamp(0, 1)) / self.num_bins

    @torch.no_grad()
    def weights(self, t: Tensor, path: GaussianPath) -> Tensor:
        """Density of the uniform distribution over that of this one at times t (B,)."""
        return 1 / (self.num_bins * self.probabilities()[self._bins(t, path)])

    def weigh(self, loss: Tensor, t: Tensor, path: GaussianPath) -> Tensor:
        weighed = loss * self.weights(t, path).to(loss)  # of the p that t was drawn from: remember afterwards
        if self.training:
            self._remember(loss.detach(), self._bins(t, path))
        return weighed

    def _bins(self, t: Tensor, path: GaussianPath) -> Tensor:
        share = (t - path.t_min) / (path.t_max - path.t_min)
        return (share * self.num_bins).long().clamp(0, self.num_bins - 1)

    def _remember(self, loss: Tensor, bins: Tensor) -> None:
        """Overwrite each bin's oldest losses, in tensors whose sizes do not depend on values (torch.compile)."""
        bins, order = bins.sort(stable=True)
        found = torch.zeros_like(self.counts).scatter_add_(0, bins, torch.ones_like(bins))
        number = (
            torch.arange(len(bins), device=bins.device) - (found.cumsum(0) - found)[bins]
        )  # within its bin
        last = number >= found[bins] - self.history  # a slot is written once
        slots = torch.where(last, (self.counts[bins] + number) % self.history, self.history)
        spare = self.losses.new_zeros(self.num_bins, 1)  # for what is not kept
        losses = torch.cat([self.losses, spare], 1)
        losses[bins, slots] = loss[order].to(losses)
        self.losses.copy_(losses[:, :-1])
        self.counts += found
