"""Attention of a feature map's positions to each other, and to tokens."""

from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from genlab.core import require
from genlab.networks.blocks import group_norm, zero_init


def attend(q: Tensor, k: Tensor, v: Tensor, num_heads: int, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v in each of `num_heads` heads of d = C / num_heads channels.

    Channels are innermost throughout, which the fused kernels of CPUs and GPUs ask for.

    Args:
        q: queries, (B, N, C).
        k, v: keys and values, (B, L, C).
        mask: which keys there are, (B, L) bool; None is all.

    Returns:
        (B, N, C).

    Source: Vaswani et al. 2017, eq. 1.
    """
    q, k, v = (x.unflatten(2, (num_heads, -1)).transpose(1, 2) for x in (q, k, v))
    mask = None if mask is None else mask[:, None, None]
    return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def positions_first(x: Tensor) -> Tensor:
    """A feature map (B, C, H, W) as a sequence (B, H W, C); a view, where x is channels_last."""
    return x.flatten(2).transpose(1, 2).contiguous()


def each_position(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution of size 1 as the product that it is, of positions (B, N, C) -> (B, N, D).

    A convolution would have its input with channels first, and attention its output with channels last again.
    """
    return linear(x, layer.weight.flatten(1), layer.bias)


def heads_of(channels: int, head_dim: int) -> int:
    """Number of heads of `head_dim` channels, or of all channels where these are fewer.

    Raises:
        UserError: channels is not a multiple of head_dim.
    """
    head_dim = min(head_dim, channels)
    expected = f"a divisor of {channels} channels"
    require(channels % head_dim == 0, "head_dim", head_dim, expected, "change either")
    return channels // head_dim


class SelfAttention2d(nn.Module):
    """x + W_o attention(q, k, v), with q, k, v = W_qkv GroupNorm(x), over all H W positions.

    W_o starts at zero, so that the layer starts as the identity.

    Args:
        channels: of the input and the output.
        head_dim: channels per head; the number of heads is channels / head_dim.

    Raises:
        UserError: channels is not a multiple of head_dim.

    Source: Vaswani et al. 2017, eq. 1; Ho et al. 2020, appendix B.
    """

    def __init__(self, channels: int, head_dim: int = 64):
        super().__init__()
        self.num_heads = heads_of(channels, head_dim)
        self.norm = group_norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        q, k, v = each_position(self.qkv, positions_first(self.norm(x))).chunk(3, dim=2)
        y = each_position(self.out, attend(q, k, v, self.num_heads))
        return x + y.transpose(1, 2).unflatten(2, x.shape[2:])


class CrossAttention2d(nn.Module):
    """x + W_o attention(q, k, v), with q = W_q GroupNorm(x) of H W positions and k, v = W_kv of L tokens.

    W_o starts at zero, so that the layer starts as the identity.

    Args:
        channels: of the input and the output.
        token_dim: of the tokens.
        head_dim: channels per head.

    Raises:
        UserError: channels is not a multiple of head_dim.

    Source: Rombach et al. 2022, section 3.3.
    """

    def __init__(self, channels: int, token_dim: int, head_dim: int = 64):
        super().__init__()
        self.num_heads = heads_of(channels, head_dim)
        self.norm = group_norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.kv = nn.Linear(token_dim, 2 * channels)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, C, H, W) and tokens (B, L, token_dim), of which `mask` (B, L) are there -> (B, C, H, W)."""
        q = each_position(self.q, positions_first(self.norm(x)))
        k, v = self.kv(tokens).chunk(2, dim=2)
        y = each_position(self.out, attend(q, k, v, self.num_heads, mask))
        return x + y.transpose(1, 2).unflatten(2, x.shape[2:])
