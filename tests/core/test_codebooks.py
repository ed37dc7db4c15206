"""Codebooks: their shapes say how tokens are laid out, and `split` takes them apart again."""

import pytest
import torch

from genlab.core import Codebooks, UserError

LAYOUTS = {
    "grid": (Codebooks(8, ((4, 4),)), (4, 4), ()),
    "sequence": (Codebooks(8, ((6,),)), (6,), ()),
    "video": (Codebooks(8, ((2, 4, 4),)), (2, 4, 4), ()),  # three sides, and yet one level
    "residual": (Codebooks(8, ((4, 2),) * 3), (4, 2, 3), ()),
    "hierarchy": (Codebooks(8, ((1, 2), (2, 4))), (10,), ((1, 2), (2, 4))),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_levels_of_tokens(name):
    books, shape, grids = LAYOUTS[name]
    tokens = torch.arange(3 * books.num_tokens).view(3, *shape)
    assert books.shape == shape
    assert (books.modality.shape, books.modality.num_classes, books.modality.grids) == (shape, 8, grids)
    assert books.bits == 3 * books.num_tokens == 3 * tokens[0].numel()
    levels = books.split(tokens)
    assert [tuple(own.shape[1:]) for own in levels] == list(books.grids)
    assert sorted(torch.cat([own.flatten() for own in levels]).tolist()) == tokens.flatten().tolist()


def test_depths_are_last_and_coarse_levels_first():
    tokens = torch.arange(4).view(1, 2, 2)
    assert [own.tolist() for own in Codebooks(9, ((2,), (2,))).split(tokens)] == [[[0, 2]], [[1, 3]]]
    sequence = torch.arange(3)[None]
    assert [own.tolist() for own in Codebooks(9, ((1,), (2,))).split(sequence)] == [[[0]], [[1, 2]]]


@pytest.mark.parametrize(
    ("num_codes", "grids", "message"),
    [(0, ((2, 2),), "num_codes: got 0"), (8, (), "grids: got"), (8, ((4, 0),), "grids: got")],
)
def test_refuses_what_is_none(num_codes, grids, message):
    with pytest.raises(UserError, match=message):
        Codebooks(num_codes, grids)
