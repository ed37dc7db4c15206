"""PCA and k-means: what reconstructions of so many bits are worth is seen beside theirs."""

import torch
from torch import Tensor

from genlab.core import require
from genlab.probability.kmeans import kmeans

MOST_BITS = 10  # of a group: k-means needs several data per centre


class PCAKMeans:
    """Data in so many bits: principal components, in groups of `size`, each replaced by the nearest of 2^b centres.

    Bits go one by one to the group where they lower the training data's squared error most, from none.

    Args:
        x: training data, (N, *shape).
        bits: of a datum, in all.
        size: components per group; 1 is transform coding.
        seed: of the centres that k-means starts from.

    Raises:
        UserError: a number is not positive, or there are more bits than the data can use.

    Source: Gersho and Gray 1992, "Vector quantization and signal compression", sections 8.3-8.4.

    >>> x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]]).repeat(8, 1)
    >>> one, two = (PCAKMeans(x, bits, size=1) for bits in (1, 2))
    >>> one.reconstruct(x)[:4].tolist(), two.allocation[:2], (two.reconstruct(x) - x).abs().max().item() < 1e-5
    ([[0.0, 0.5], [0.0, 0.5], [4.0, 0.5], [4.0, 0.5]], [1, 1], True)
    """

    def __init__(self, x: Tensor, bits: int, size: int = 1, seed: int = 0):
        for name, number in {"bits": bits, "size": size}.items():
            require(number >= 1, name, number, "a positive integer", "raise it")
        rows = x.flatten(1).double()
        self.mean = rows.mean(0)
        self.axes = torch.linalg.svd(rows - self.mean, full_matrices=False).Vh  # (components, D)
        parts = ((rows - self.mean) @ self.axes.T).split(size, dim=1)
        most, limit = _most_bits(x), most_bits(x, size)
        expected = f"at most {limit} for {len(x)} data"
        require(bits <= limit, "bits", bits, expected, "give more data, or fewer bits")
        generator = torch.Generator().manual_seed(seed)
        self.size, self.allocation = size, [0] * len(parts)
        self.centres = [kmeans(part, 1, generator) for part in parts]
        finer = [kmeans(part, 2, generator) for part in parts]
        errors = [_error(part, c) for part, c in zip(parts, self.centres, strict=True)]
        gains = [e - _error(part, c) for e, part, c in zip(errors, parts, finer, strict=True)]
        for _ in range(bits):
            best = max((g for g in range(len(parts)) if self.allocation[g] < most), key=gains.__getitem__)
            self.centres[best] = finer[best]
            self.allocation[best] += 1
            finer[best] = kmeans(parts[best], 2 ** (self.allocation[best] + 1), generator)
            now = _error(parts[best], self.centres[best])
            gains[best] = now - _error(parts[best], finer[best])

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the bits keep of x, (N, *shape)."""
        parts = ((x.flatten(1).double() - self.mean) @ self.axes.T).split(self.size, dim=1)
        found = [c[torch.cdist(part, c).argmin(1)] for part, c in zip(parts, self.centres, strict=True)]
        return (torch.cat(found, dim=1) @ self.axes + self.mean).view_as(x).to(x.dtype)


def most_bits(x: Tensor, size: int = 1) -> int:
    """What data (N, *shape) can be given, in groups of so many components."""
    return _most_bits(x) * -(-min(len(x), x[0].numel()) // size)


def _most_bits(x: Tensor) -> int:
    """Of one group."""
    return min(MOST_BITS, len(x).bit_length() - 1)


def _error(rows: Tensor, centres: Tensor) -> float:
    """Summed squared distance to the nearest centre."""
    return float(torch.cdist(rows, centres).amin(1).square().sum())
