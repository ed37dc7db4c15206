"""PCA and k-means as a baseline of reconstruction: bits, and what they buy."""

import math

import pytest
import torch

from genlab.core import UserError
from genlab.metrics import PCAKMeans
from genlab.probability.kmeans import kmeans


def test_more_bits_are_never_worse_and_all_are_spent():
    torch.manual_seed(0)
    x = torch.randn(300, 6) * torch.tensor([4.0, 2.0, 1.0, 0.5, 0.2, 0.1])
    errors = []
    for bits in (1, 3, 6, 9):
        model = PCAKMeans(x, bits, size=2)
        assert sum(model.allocation) == bits
        assert [len(c) for c in model.centres] == [2**b for b in model.allocation]
        assert model.allocation == sorted(model.allocation, reverse=True), "to where the variance is"
        errors.append((model.reconstruct(x) - x).square().mean())
    assert errors == sorted(errors, reverse=True)


def test_one_bit_of_a_normal_variable_leaves_what_is_known():
    """Lloyd-Max with two levels leaves 1 - 2 / pi of the variance (Max 1960)."""
    x = torch.randn(20000, 1, generator=torch.Generator().manual_seed(0))
    error = (PCAKMeans(x, 1).reconstruct(x) - x).square().mean()
    assert error.item() == pytest.approx(1 - 2 / math.pi, rel=0.02)


def test_kmeans_finds_clusters_far_apart():
    centres = 10 * torch.eye(4, dtype=torch.float64)
    rows = centres.repeat(20, 1) + 0.01 * torch.randn(80, 4, generator=torch.Generator().manual_seed(0))
    found = kmeans(rows, 4, torch.Generator().manual_seed(0))
    assert torch.cdist(found, centres).amin(1).max() < 0.02


def test_refuses_more_bits_than_the_data_bear():
    with pytest.raises(UserError, match="bits: got 99, expected at most 8 for 16 data"):
        PCAKMeans(torch.randn(16, 2), 99)
