"""k-means, begun from rows that are far from each other."""

import torch
from torch import Tensor

STEPS = 30


def far_rows(rows: Tensor, num: int, generator: torch.Generator | None = None) -> list[int]:
    """Numbers of `num` rows of (N, D), each drawn by its squared distance to the nearest of those before it.

    Source: Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding", section 2.2.

    >>> sorted(far_rows(torch.tensor([[0.0], [0.0], [9.0]]), 2, torch.Generator().manual_seed(0)))[-1]
    2
    """
    chosen = [int(torch.randint(len(rows), (1,), generator=generator))]
    distance = (rows - rows[chosen[0]]).square().sum(1)
    for _ in range(num - 1):
        shares = distance if bool(distance.sum() > 0) else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(shares.cpu(), 1, generator=generator)))
        distance = torch.minimum(distance, (rows - rows[chosen[-1]]).square().sum(1))
    return chosen


def kmeans(rows: Tensor, num: int, generator: torch.Generator | None = None) -> Tensor:
    """Lloyd's centres (num, D) of rows (N, D), begun from `far_rows`; as many as rows where there are fewer.

    Source: Lloyd 1982, "Least squares quantization in PCM".
    """
    num = min(num, len(rows))
    centres = rows[far_rows(rows, num, generator)]
    for _ in range(STEPS):
        nearest = torch.cdist(rows, centres).argmin(1)
        counts = torch.bincount(nearest, minlength=num)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        moved = torch.where(counts > 0, sums / counts.clamp(min=1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres
