"""Vector quantisation with a learned codebook."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import full_precision, require
from genlab.networks.quantisers.quantiser import (
    Quantised,
    Quantiser,
    nearest_codes,
    squared_distance,
    straight_through,
)
from genlab.networks.quantisers.ranks import drawn_rows, summed

KMEANS_STEPS = 10


class VectorQuantiser(Quantiser):
    """z_q = e_k, k = argmin_j |z - e_j|, with codes e_1..e_K learned from averages or by gradients.

    From averages ("ema"), in training, of the n_k rows z of a batch that are nearest to e_k:

        N_k = decay N_k + (1 - decay) n_k;   e_k = e_k + (1 - decay) (sum z - n_k e_k) / N_k,

    which is m_k / N_k of the paper's averages m_k of sums. Sums are over all ranks, so that these keep the same
    codebook; all that it depends on is in the state dict, but for the global generator.

    Args:
        dim: channels D of features and codes.
        num_codes: K.
        learning: "ema", or "gradient", by the term `codebook`.
        decay: of the averages, also of how often codes are used.
        kmeans: start from ten steps of k-means on the first batch in training.
        dead_below: a code with N_k < dead_below mean(N) is dead: it becomes one of the batch's rows, by lot; 0 never.

    Raises:
        UserError: a number is out of range, `learning` is neither.

    Source: van den Oord et al. 2017, eq. 1-3, averages in appendix A.1, eq. 6-8; Razavi et al. 2019, section 2.1;
    k-means and dead codes: Dhariwal et al. 2020 (Jukebox), section 3.1; Zeghidour et al. 2021, section III.C.

    >>> quantiser = VectorQuantiser(4, 8).eval()
    >>> answer = quantiser(torch.randn(2, 4, 3, 5))
    >>> answer.z_q.shape, answer.indices.shape, quantiser.bits
    (torch.Size([2, 4, 3, 5]), torch.Size([2, 3, 5]), 3.0)
    >>> torch.equal(quantiser.decode(answer.indices), answer.z_q)
    True
    """

    def __init__(
        self,
        dim: int,
        num_codes: int = 512,
        learning: Literal["ema", "gradient"] = "ema",
        decay: float = 0.99,
        kmeans: bool = True,
        dead_below: float = 0.05,
    ):
        super().__init__()
        for name, number in {"dim": dim, "num_codes": num_codes}.items():
            require(number >= 1, name, number, "a positive integer", "raise it")
        require(
            learning in ("ema", "gradient"), "learning", learning, "'ema' or 'gradient'", "choose one of them"
        )
        require(0 <= decay < 1, "decay", decay, "a number in [0, 1)", "use 0.99")
        require(
            0 <= dead_below < 1, "dead_below", dead_below, "a share in [0, 1)", "use 0.05, or 0 for never"
        )
        self.dim, self.num_codes = dim, num_codes
        self.by_gradient = learning == "gradient"
        self.decay, self.dead_below = decay, dead_below
        # Of a parameter that ranks hold shards of, what is written in a step is lost with the gathered copy.
        self.writes_weights = self.by_gradient and (kmeans or dead_below > 0)
        codebook = torch.empty(num_codes, dim).uniform_(-1 / num_codes, 1 / num_codes)
        if self.by_gradient:
            self.codebook = nn.Parameter(codebook)
        else:
            self.register_buffer("codebook", codebook)
            # Codes follow the encoder: an average of its weights needs one of them, too.
            self.averaged_buffers = ("codebook",)
        self.register_buffer("use", torch.ones(num_codes))  # N_k
        self.register_buffer("started", torch.tensor(not kmeans))

    def nearest(self, rows: Tensor) -> Tensor:
        return nearest_codes(rows.reshape(-1, self.dim), self.codebook).view(rows.shape[:-1])

    def codes(self, indices: Tensor) -> Tensor:
        return functional.embedding(indices, self.codebook)

    def quantise(self, rows: Tensor) -> Quantised:
        flat = full_precision(rows.detach()).reshape(-1, self.dim)
        if self.training and not self.started:
            self._start(flat)
        found = nearest_codes(flat, self.codebook)
        indices = found.view(rows.shape[:-1])
        codes = self.codes(indices).to(rows.dtype)
        commitment = squared_distance(rows, codes.detach())
        nothing = torch.zeros_like(commitment)
        codebook = squared_distance(rows.detach(), codes) if self.by_gradient else nothing
        answer = Quantised(straight_through(rows, codes), indices, commitment, codebook, nothing)
        if self.training:
            self._learn(flat, found)
        return answer

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "VectorQuantiser":
        """To another device or precision, but averages never to half: it would not resolve a step's change."""
        averages = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, x in averages.items():
            if self._buffers[name].dtype in (torch.bfloat16, torch.float16):
                self._buffers[name] = x.to(self._buffers[name].device)
        return self

    @torch.no_grad()
    def _start(self, rows: Tensor) -> None:
        codebook = drawn_rows(rows, self.num_codes)
        for _ in range(KMEANS_STEPS):
            counts, sums = self._sums(rows, nearest_codes(rows, codebook))
            codebook = torch.where(counts > 0, sums / counts.clamp(min=1), codebook)
        self.codebook.copy_(codebook)
        self.use.copy_(counts[:, 0])
        self.started.fill_(True)

    @torch.no_grad()
    def _learn(self, rows: Tensor, found: Tensor) -> None:
        if self.by_gradient:
            counts = summed(torch.bincount(found, minlength=self.num_codes).to(self.use.dtype))
        else:
            counts, sums = self._sums(rows, found)
            n = torch.lerp(counts, self.use[:, None], self.decay).clamp(min=1e-12)
            self.codebook += (1 - self.decay) * (sums - counts * self.codebook) / n
            counts = counts[:, 0]
        self.use.lerp_(counts, 1 - self.decay)
        if self.dead_below > 0:
            self._revive(rows)

    def _revive(self, rows: Tensor) -> None:
        mean = self.use.mean()
        dead = self.use < self.dead_below * mean
        if num := int(dead.sum()):
            # An optimiser's moments of the old code fade within a few steps.
            self.codebook[dead] = drawn_rows(rows, num).to(self.codebook.dtype)
            self.use[dead] = mean

    def _sums(self, rows: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        """Over all ranks, of each code: how many rows are nearest to it, (K, 1), and their sum, (K, D)."""
        together = rows.new_zeros(self.num_codes, self.dim + 1)
        together[:, :1] = torch.bincount(found, minlength=self.num_codes)[:, None]
        together[:, 1:].index_add_(0, found, rows)
        counts, sums = summed(together).split([1, self.dim], dim=1)
        return counts, sums
