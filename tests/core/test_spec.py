"""DataSpec: levels and bin centres round-trip; primitives rebuild it."""

import pytest
import torch

from genlab.core import DataSpec, ModalitySpec, UserError


@pytest.mark.parametrize("k", [2, 17, 256])
def test_levels_round_trip_and_dequantised_values_stay_inside(k: int):
    spec = ModalitySpec((1,), num_levels=k)
    levels = torch.arange(k)
    x = spec.values(levels)
    assert torch.equal(spec.levels(x), levels)
    for edge in (-0.499, 0.499):
        moved = x + edge * spec.bin_width
        assert moved.abs().max() <= 1
        assert torch.equal(spec.levels(moved), levels)
    assert spec.levels(torch.tensor([-3.0, 3.0])).tolist() == [0, k - 1]


def test_dequantised_values_fill_their_bins_evenly():
    torch.manual_seed(0)
    spec = ModalitySpec((1,), num_levels=17)
    x = spec.values(torch.arange(17)).repeat(1000, 1)
    noise = (spec.dequantise(x) - x) / spec.bin_width
    assert torch.equal(spec.levels(spec.dequantise(x)), spec.levels(x))
    assert noise.abs().max() < 0.5001
    assert abs(noise.mean()) < 0.01
    assert abs(noise.var() - 1 / 12) < 0.002


def test_primitives_rebuild_the_spec():
    spec = DataSpec("x", {"image": ModalitySpec((3, 4, 4), 256), "label": ModalitySpec((), 0, 2, ("a", "b"))})
    assert DataSpec.of(spec.to_dict()) == spec
    tokens = DataSpec("x", {"tokens": ModalitySpec((5,), num_classes=8, grids=((1, 1), (2, 2)))})
    assert DataSpec.of(tokens.to_dict()) == tokens
    assert tokens.to_dict()["modalities"]["tokens"]["grids"] == [[1, 1], [2, 2]], "primitives of YAML"
    with pytest.raises(UserError, match="spec: got"):
        DataSpec.of({"nonsense": 1})
    with pytest.raises(UserError, match="has no 'text'"):
        spec["text"]
