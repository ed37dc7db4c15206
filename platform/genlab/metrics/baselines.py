"""Trivial generators: what a score is worth is seen beside theirs."""

import math

import torch
from torch import Tensor

from genlab.core import ModalitySpec, RandomStreams


class ClasswiseGaussian:
    """A Gaussian per class in pixel space (one for all without labels), by mean and covariance.

    Args:
        images: training data, (N, *shape).
        labels: (N,) int64, or None.
        most: data of a class that it is fitted to.

    >>> x = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 3.0]])
    >>> model = ClasswiseGaussian(x, torch.tensor([0, 0, 1, 1]))
    >>> model.sample(torch.tensor([0, 1]), RandomStreams(0, 2))[:, 0]
    tensor([0., 1.])
    """

    def __init__(self, images: Tensor, labels: Tensor | None, most: int = 5000):
        self.shape = images.shape[1:]
        labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
        rows = {int(c): (labels == c).nonzero().flatten()[:most] for c in labels.unique()}
        self.parts = {c: self._fit(images[r].flatten(1).double()) for c, r in rows.items()}

    @staticmethod
    def _fit(x: Tensor) -> tuple[Tensor, Tensor]:
        # Centred data over sqrt(n - 1) are a factor of the covariance; no D x D matrix is needed.
        mean = x.mean(0)
        return mean, (x - mean) / max(1, len(x) - 1) ** 0.5

    def sample(self, labels: Tensor | None, rng: RandomStreams) -> Tensor:
        """One datum per stream, of the given labels: (n, *shape)."""
        labels = torch.zeros(len(rng), dtype=torch.int64) if labels is None else labels
        noise = rng.normal((max(len(factor) for _, factor in self.parts.values()),)).double()
        out = torch.empty(len(rng), self.shape.numel())
        for label, (mean, factor) in self.parts.items():
            rows = labels == label
            out[rows] = (mean + noise[rows, : len(factor)] @ factor).float()
        return out.view(-1, *self.shape)


def noisy(images: Tensor, rng: RandomStreams, scale: float = 0.1) -> Tensor:
    """Data plus Gaussian noise of standard deviation `scale` (data are in [-1, 1])."""
    return images + scale * rng.normal(tuple(images.shape[1:]))


def rows_with_labels(
    available: Tensor | None, wanted: Tensor | None, num: int, total: int, generator: torch.Generator
) -> Tensor:
    """Numbers of `num` random data out of `total`, without repetition as long as they last.

    Args:
        available: labels of the data, (total,), or None.
        wanted: labels that the chosen shall have, (num,), or None.
        num: how many.
        total: of how many.
        generator: of the choice.
    """
    if available is None or wanted is None:
        return torch.randperm(total, generator=generator)[torch.arange(num) % total]
    rows = torch.empty(num, dtype=torch.int64)
    for c in wanted.unique():
        places, those = (wanted == c).nonzero().flatten(), (available == c).nonzero().flatten()
        order = those[torch.randperm(len(those), generator=generator)]
        rows[places] = order[torch.arange(len(places)) % len(order)]
    return rows


def histogram_bits(train: Tensor, held_out: Tensor, spec: ModalitySpec) -> float:
    """Bits per dimension of held-out data under independent histograms of each entry's levels.

    -(1/D) E[sum_d log2 (n_d(x_d) + 1) / (N + k)], from N training data of k levels (Laplace's rule).
    """
    entries = torch.arange(spec.num_values, device=train.device)
    size = spec.num_levels * len(entries)
    counts = torch.zeros(size, dtype=torch.int64, device=train.device)
    for part in train.split(4096):  # numbers of levels take twice the memory of data
        counts += torch.bincount(
            (spec.levels(part).flatten(1) * len(entries) + entries).flatten(), minlength=size
        )
    log_p = ((counts.view(spec.num_levels, -1) + 1).double() / (len(train) + spec.num_levels)).log()
    held = spec.levels(held_out).flatten(1)
    return float(-log_p.gather(0, held).mean() / math.log(2))


class PrincipalComponents:
    """The best linear autoencoder by squared error: the mean and the first components of data.

    Args:
        images: training data, (N, *shape).
        num: components D, less than N.

    >>> x = torch.tensor([[1.0, 1.0, 0.5], [-1.0, -1.0, 0.5], [0.5, 0.5, 0.5]])
    >>> torch.allclose(PrincipalComponents(x, 1).reconstruct(x), x, atol=1e-6)
    True
    """

    def __init__(self, images: Tensor, num: int):
        x = images.flatten(1).double()
        self.num, self.mean = num, x.mean(0)
        self.components = torch.linalg.svd(x - self.mean, full_matrices=False).Vh[:num]  # (D, values)

    def reconstruct(self, x: Tensor) -> Tensor:
        """x, (B, *shape), projected onto the components."""
        mean, components = self.mean.to(x), self.components.to(x)
        return ((x.flatten(1) - mean) @ components.T @ components + mean).view_as(x)
