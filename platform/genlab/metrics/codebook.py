"""How much of a codebook is used."""

import torch
from torch import Tensor

from genlab.core import Codebooks


def codebook_perplexity(counts: Tensor) -> Tensor:
    """exp(-sum_k p_k log p_k) of how often each code was used, 1..K: counts (..., K) -> (...,).

    >>> codebook_perplexity(torch.tensor([[5, 5, 0, 0], [9, 0, 0, 0]]))
    tensor([2., 1.])
    """
    p = counts.double() / counts.sum(-1, keepdim=True).clamp(min=1)
    return torch.special.entr(p).sum(-1).exp().float()


def codebook_usage(counts: Tensor) -> Tensor:
    """Share of codes that were used at all, 0..1: counts (..., K) -> (...,).

    >>> codebook_usage(torch.tensor([5, 5, 0, 1]))
    tensor(0.7500)
    """
    return (counts > 0).float().mean(-1)


def code_counts(tokens: Tensor, codebooks: Codebooks) -> Tensor:
    """How often each code of each codebook is used in tokens (B, *shape): (codebooks, K) int64.

    Args:
        tokens: as a `CanTokenize` gives them.
        codebooks: its own.

    >>> code_counts(torch.tensor([[2, 0, 0, 0, 1]]), Codebooks(3, ((1, 1), (2, 2))))
    tensor([[0, 0, 1],
            [3, 1, 0]])
    """
    parts = codebooks.split(tokens)
    return torch.stack([torch.bincount(part.flatten(), minlength=codebooks.num_codes) for part in parts])


def code_use(counts: Tensor) -> dict[str, Tensor]:
    """`perplexity`, 1..K, and `usage`, 0..1, of a set's counts (codebooks, K): means over the codebooks.

    >>> {name: value.item() for name, value in code_use(torch.tensor([[2, 2, 0, 0]])).items()}
    {'perplexity': 2.0, 'usage': 0.5}
    """
    return {"perplexity": codebook_perplexity(counts).mean(), "usage": codebook_usage(counts).mean()}
