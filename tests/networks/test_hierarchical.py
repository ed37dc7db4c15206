"""The hierarchical quantiser: one interface, coarse codes before fine ones, straight-through gradients."""

import pytest
import torch

from genlab.core import UserError
from genlab.networks import FiniteScalar, HierarchicalQuantiser, ResidualQuantiser, VectorQuantiser


def make(levels=3, kind=lambda: VectorQuantiser(4, 8)):
    torch.manual_seed(0)
    return HierarchicalQuantiser([kind() for _ in range(levels)], channels=6)


@pytest.mark.parametrize("kind", [lambda: VectorQuantiser(4, 8), lambda: FiniteScalar([4, 2])])
def test_tokens_are_the_grids_one_after_another(kind):
    quantiser, z = make(kind=kind), torch.randn(5, 6, 8, 4)
    quantiser(z)  # k-means
    quantiser.eval()
    answer = quantiser(z)
    books = quantiser.codebooks((8, 4))
    assert books.grids == ((2, 1), (4, 2), (8, 4))
    assert answer.z_q.shape == z.shape
    assert answer.indices.shape == (5, *books.shape) == (5, 2 + 8 + 32)
    assert books.bits == 3 * 42
    assert torch.equal(quantiser.encode(z), answer.indices)
    torch.testing.assert_close(quantiser.decode(answer.indices, (8, 4)), answer.z_q)
    assert all(term.shape == (5,) for term in answer[2:])
    assert quantiser.decode(answer.indices[:, :10], (8, 4)).shape == (5, 6, 4, 2), "coarse levels alone"


def test_fine_codes_are_chosen_given_the_coarse_ones():
    """Fine features alone don't tell the fine codes: what the coarse ones left is quantised."""
    quantiser = make(2).eval()
    z = torch.randn(64, 6, 4, 4)
    (h_coarse, h_fine), coarse = quantiser._reductions(z), quantiser.encode(z)[:, :4]
    before = quantiser.encode(z)[:, 4:]
    quantiser.quantisers[0].codebook.mul_(-50)
    assert not torch.equal(quantiser.encode(z)[:, 4:], before)
    assert h_coarse.shape[2:] == (2, 2)
    assert torch.equal(h_fine, z)
    assert coarse.shape == (64, 4)


def test_gradients_go_straight_through_all_levels():
    quantiser, z = make(2), torch.randn(3, 6, 4, 4, requires_grad=True)
    quantiser(z).z_q.square().sum().backward()
    assert z.grad.abs().sum() > 0
    without = [name for name, p in quantiser.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not without


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([VectorQuantiser(4, 8)], "quantisers: got '1', expected two levels"),
        ([VectorQuantiser(4, 8), VectorQuantiser(4, 9)], "expected equal num_codes, and depth 1"),
        ([ResidualQuantiser([VectorQuantiser(4, 8)] * 2)] * 2, "expected equal num_codes, and depth 1"),
    ],
)
def test_refuses_levels_that_differ(arguments, message):
    with pytest.raises(UserError, match=message):
        HierarchicalQuantiser(arguments, channels=6)


def test_refuses_grids_and_tokens_that_are_no_levels():
    with pytest.raises(UserError, match=r"quantiser: got 'features on a grid \(6, 6\)', expected sides"):
        make(3)(torch.randn(1, 6, 6, 6))
    with pytest.raises(UserError, match="indices: got 3, expected one of 4, 20 of a grid"):
        make(2).decode(torch.zeros(1, 3, dtype=torch.int64), (4, 4))
