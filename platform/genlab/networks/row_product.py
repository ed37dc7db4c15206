"""A linear layer that multiplies few rows at a time, many times: its weights are laid out for that once."""

import torch
from torch import Tensor, nn
from torch.nn import functional

FEW_USES = 64  # below, laying out would take longer than it saves
ONE_BY_ONE = 4  # rows, below which a product is a few products of a vector


def row_product(layer: nn.Linear, rows: int, uses: int) -> "RowProduct":
    """A layer's product with (rows, in), laid out for so many uses: in oneDNN's blocks, in the rows' order, or as is.

    On the CPU, oneDNN's blocks take .75 of the time of 16 rows; a single row wants a matrix whose rows are long.
    """
    weight = layer.weight
    if weight.device.type != "cpu" or uses < FEW_USES:
        return RowProduct(weight, layer.bias)
    if rows >= ONE_BY_ONE and weight.dtype == torch.float32 and packs():
        return BlockedProduct(weight, layer.bias, rows)
    longer = layer.out_features >= layer.in_features
    return RowProduct(weight.T.contiguous().T if longer else weight, layer.bias)


def packs() -> bool:
    """Whether this PyTorch has oneDNN's products with laid-out weights."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)


class RowProduct:
    """x W^T + b.

    Args:
        weight: W, (out, in), in any order.
        bias: b, (out,), or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        self.weight, self.bias = weight.detach().T, None if bias is None else bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """(B, in) -> (B, out)."""
        if self.bias is None:
            return torch.mm(x, self.weight)
        return torch.addmm(self.bias, x, self.weight)

    def gelu(self, x: Tensor) -> Tensor:
        """gelu(x W^T + b), by its approximation with tanh."""
        return functional.gelu(self(x), approximate="tanh")

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        """y + x W^T, perhaps written into y (B, out), of a layer without bias."""
        return y.addmm_(x, self.weight)


class BlockedProduct(RowProduct):
    """As `RowProduct`, of a matrix in the blocks that oneDNN chooses for so many rows."""

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int):
        super().__init__(weight, bias)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "tanh")

    def add_to(self, y: Tensor, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise.binary(x, y, self.weight, None, "add")
