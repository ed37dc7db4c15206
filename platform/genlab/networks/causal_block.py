"""A transformer's block over sequences of which each position sees those before it."""

from torch import Tensor, nn
from torch.nn import functional

from genlab.networks.causal_step import CausalStep
from genlab.networks.dit_block import CrossAttention
from genlab.networks.rotary import Turns, rotate


class CausalAttention(nn.Module):
    """W_o attention(q, k, v), q, k, v = W_qkv x, in which a position attends to itself and those before it.

    Args:
        width: of the entries.
        num_heads: of attention.
    """

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, turns: Turns | None = None) -> Tensor:
        """(B, l, width) -> (B, l, width)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if turns is not None:
            q, k = rotate(q, *turns), rotate(k, *turns)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).flatten(2))


class CausalBlock(nn.Module):
    """x = x + attention(LayerNorm(x));  x = x + reading(x, tokens);  x = x + mlp(LayerNorm(x)).

    Args:
        width: of the sequence's entries.
        num_heads: of attention.
        mlp_ratio: width of the perceptron's hidden layer, in `width`s.
        token_dim: of the tokens that are read by cross-attention; 0 is without.
        dropout: of what each part adds.

    Source: Vaswani et al. 2017, section 3.1; norms before the parts: Radford et al. 2019 (GPT-2), section 2.3.
    """

    def __init__(
        self, width: int, num_heads: int, mlp_ratio: float = 4.0, token_dim: int = 0, dropout: float = 0.0
    ):
        super().__init__()
        hidden = int(mlp_ratio * width)
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalAttention(width, num_heads)
        self.reading = CrossAttention(width, token_dim, num_heads) if token_dim else None
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, turns: Turns | None = None, tokens: tuple[Tensor, Tensor | None] | None = None
    ) -> Tensor:
        """(B, l, width) -> (B, l, width)."""
        x = x + self.dropout(self.attention(self.norm1(x), turns))
        if self.reading is not None:
            x = x + self.dropout(self.reading(x, *tokens))
        hidden = functional.gelu(self.expand(self.norm2(x)), approximate="tanh")
        return x + self.dropout(self.contract(hidden))

    def step(self, number: int, rows: int, num_steps: int) -> CausalStep:
        """What it does at one position of `rows` samples, for so many positions; its number is that in the cache."""
        return CausalStep(self, number, rows, num_steps)
