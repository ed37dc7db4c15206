"""Combinations of tensors: what is written over, and what is not."""

import pytest
import torch

from genlab.probability import combination

TERMS = (torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 5.0]))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("of_x", [0.0, 1.0, 0.5])
@pytest.mark.parametrize("weights", [(0.0, 0.0), (2.0, 0.0), (0.0, 3.0), (2.0, 3.0)])
def test_a_combination_is_its_sum_and_writes_over_nothing_but_its_own(of_x, weights, own):
    x = torch.tensor([10.0, 20.0])
    before, terms = x.clone(), [term.clone() for term in TERMS]
    found = combination(of_x, x, weights, TERMS, own)
    expected = of_x * before + weights[0] * terms[0] + weights[1] * terms[1]
    torch.testing.assert_close(found, expected)
    for term, kept in zip(TERMS, terms, strict=True):
        assert torch.equal(term, kept)
        assert found.data_ptr() != term.data_ptr()
    if not own:
        assert torch.equal(x, before)
        assert found.data_ptr() != x.data_ptr()
