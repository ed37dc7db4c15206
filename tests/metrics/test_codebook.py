"""Perplexity and usage of codebooks."""

import pytest
import torch

from genlab.core import Codebooks
from genlab.metrics import code_counts, code_use


def test_batches_add_up_and_depths_are_apart():
    indices = torch.stack([torch.arange(16).view(4, 4), torch.arange(16).view(4, 4) % 2], dim=-1)
    books = Codebooks(16, ((2, 2), (2, 2)))
    tokens = indices.view(4, 2, 2, 2)
    counts = sum(code_counts(part, books) for part in tokens.split(1))
    assert torch.equal(counts, code_counts(tokens, books))
    found = {name: value.item() for name, value in code_use(counts).items()}
    assert found == {"perplexity": pytest.approx((16 + 2) / 2), "usage": pytest.approx((1 + 2 / 16) / 2)}


def test_a_sequence_and_a_grid_have_one_codebook():
    tokens = torch.tensor([[0, 1, 1, 3]])
    for shape in ((4,), (2, 2), (1, 2, 2)):
        assert code_counts(tokens.view(1, *shape), Codebooks(5, (shape,))).tolist() == [[1, 2, 0, 1, 0]]
