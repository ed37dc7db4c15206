"""Products of a layer with few rows, however its weights are laid out, are the layer's own."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from genlab.networks.row_product import FEW_USES, row_product


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("uses", [1, FEW_USES])
@pytest.mark.parametrize("rows", [1, 4, 16])
@pytest.mark.parametrize("sizes", [(8, 24), (24, 8)])
def test_a_row_product_is_the_layers(sizes, rows, uses, dtype):
    torch.manual_seed(0)
    layer = nn.Linear(*sizes).to(dtype)
    bare = nn.Linear(*sizes, bias=False).to(dtype)
    x, y = torch.randn(rows, sizes[0], dtype=dtype), torch.randn(rows, sizes[1], dtype=dtype)
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    with torch.no_grad():
        product = row_product(layer, rows, uses)
        torch.testing.assert_close(product(x), layer(x), **tolerance)
        hidden = functional.gelu(layer(x), approximate="tanh")
        torch.testing.assert_close(product.gelu(x), hidden, **tolerance)
        expected = y + bare(x)
        torch.testing.assert_close(row_product(bare, rows, uses).add_to(y, x), expected, **tolerance)


def test_a_layout_is_of_the_weights_as_they_are():
    layer = nn.Linear(8, 8)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
        assert row_product(layer, 4, FEW_USES)(torch.ones(4, 8)).eq(8).all()
