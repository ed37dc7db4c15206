"""Perplexity and usage of codebooks."""

import pytest
import torch

from genlab.core import ModalitySpec
from genlab.metrics import code_counts, code_use


def test_batches_add_up_and_depths_are_apart():
    indices = torch.stack([torch.arange(16).view(4, 4), torch.arange(16).view(4, 4) % 2], dim=-1)
    spec = ModalitySpec((2, 2, 2), num_classes=16)
    tokens = indices.view(4, 2, 2, 2)
    counts = sum(code_counts(part, spec) for part in tokens.split(1))
    assert torch.equal(counts, code_counts(tokens, spec))
    found = {name: value.item() for name, value in code_use(counts).items()}
    assert found == {"perplexity": pytest.approx((16 + 2) / 2), "usage": pytest.approx((1 + 2 / 16) / 2)}


def test_a_sequence_and_a_grid_have_one_codebook():
    tokens = torch.tensor([[0, 1, 1, 3]])
    for shape in ((4,), (2, 2)):
        spec = ModalitySpec(shape, num_classes=5)
        assert code_counts(tokens.view(1, *shape), spec).tolist() == [[1, 2, 0, 1, 0]]
