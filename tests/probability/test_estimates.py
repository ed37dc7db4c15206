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


def test_a_factor_first_met_in_inference_serves_training_too():
    x, term = torch.ones(2), torch.ones(2)
    with torch.inference_mode():
        combination(0.7310585, x, (0.1192029,), (term,))
    x.requires_grad_()
    combination(0.7310585, x, (0.1192029,), (term,)).sum().backward()
    assert x.grad.tolist() == pytest.approx([0.7310585] * 2)


def test_a_factor_first_met_under_another_default_device_serves_the_cpu_too():
    with torch.device("meta"):
        assert combination(0.2689414, torch.ones(2), (), ()).is_meta
    assert combination(0.2689414, torch.ones(2), (), ()).tolist() == pytest.approx([0.2689414] * 2)


def test_a_factor_of_narrow_numbers_is_not_rounded_before_the_product():
    x = torch.full((1,), 1.5, dtype=torch.bfloat16)
    assert combination(1.001, x, (), ()).item() == (1.001 * 1.5 * torch.ones(1)).bfloat16().item()
    third = torch.full((1,), 3.0, dtype=torch.bfloat16)
    assert combination(1 / 3, third, (), ()).item() == 1.0
