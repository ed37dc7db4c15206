"""How conditions enter a network: label and vector as an embedding, tokens by attention, an image as channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import Condition, DataSpec, ModalitySpec, expand_like, require
from genlab.core.condition import KINDS
from genlab.networks.embeddings import ConditionEmbedding, sinusoids

Conditional = bool | Sequence[str]  # which kinds of condition a network takes


def kinds_taken(
    spec: DataSpec, conditional: Conditional = True, able: Sequence[str] = KINDS
) -> tuple[str, ...]:
    """The kinds of condition that a network takes.

    Args:
        spec: of the data; its modalities `label`, `vector`, `tokens` and `low_resolution` (an image) are kinds
            of condition, where they are not the data.
        conditional: True for all kinds that the data have and the network can take, False for none, or names.
        able: those that the network can take.

    Raises:
        UserError: a kind is named that the data don't have or the network can't take.

    >>> spec = DataSpec("x", {"image": ModalitySpec((1, 8, 8)), "label": ModalitySpec(num_classes=10)})
    >>> kinds_taken(spec), kinds_taken(spec, False), kinds_taken(spec, ["label"])
    (('label',), (), ('label',))
    """
    have = [kind for kind, m in spec.conditions.items() if kind != "label" or m.num_classes > 0]
    possible = tuple(kind for kind in KINDS if kind in have and kind in able)
    if isinstance(conditional, bool):
        return possible if conditional else ()
    expected = f"some of {', '.join(possible)}" if possible else "none: there is nothing to condition on"
    for kind in conditional:
        require(kind in possible, "conditional", kind, expected, "leave it out, or choose other data")
    return tuple(kind for kind in possible if kind in conditional)


def condition_embedding(
    spec: DataSpec, kinds: Sequence[str], dim: int, embedding: type[nn.Module] = ConditionEmbedding
) -> nn.Module | None:
    """The embedding (dim, num_classes, vector_dim) of labels and vectors, None where neither is taken."""
    num_classes = spec.num_classes if "label" in kinds else 0
    vector_dim = spec.conditions["vector"].num_values if "vector" in kinds else 0
    return embedding(dim, num_classes, vector_dim) if num_classes or vector_dim else None


def token_embedding(spec: DataSpec, kinds: Sequence[str], dim: int) -> "TokenEmbedding | None":
    """The embedding of tokens, None where they are not taken."""
    return TokenEmbedding(spec.conditions["tokens"], dim) if "tokens" in kinds else None


class TokenEmbedding(nn.Module):
    """Sequences of tokens for cross-attention; where there is none, one learned null token.

    Numbers of a vocabulary are looked up and given sinusoids of their positions; features, which an encoder
    made and which know their positions, are mapped linearly.

    Args:
        spec: of the tokens: (L,) with a vocabulary of `num_classes`, or (L, D) features.
        dim: size of each token's result.

    >>> embedding = TokenEmbedding(ModalitySpec((7,), num_classes=100), dim=8)
    >>> tokens, mask = embedding(Condition(tokens=torch.tensor([[3, 4, 5]])), 1)
    >>> tokens.shape, mask, embedding(None, 4)[0].shape
    (torch.Size([1, 3, 8]), None, torch.Size([4, 1, 8]))
    """

    def __init__(self, spec: ModalitySpec, dim: int):
        super().__init__()
        dims, expected = (1, "(L,)") if spec.num_classes else (2, "(L, D), or (L,) with a vocabulary")
        require(len(spec.shape) == dims, "tokens", spec.shape, expected, "change the data's spec")
        self.of_vocabulary = spec.num_classes > 0
        self.embedding = nn.Embedding(spec.num_classes, dim) if dims == 1 else nn.Linear(spec.shape[1], dim)
        self.null = nn.Parameter(0.02 * torch.randn(dim))

    def forward(self, condition: Condition | None, batch_size: int) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, L, dim), and which of them there are, (B, L) bool; None is all."""
        if condition is None or condition.tokens is None:
            return self.null.expand(batch_size, 1, -1), None
        kept, mask = condition.kept("tokens"), condition.token_mask
        if mask is not None:  # an empty sequence would leave attention nothing to attend to
            kept = kept & mask.any(1)
            mask = mask | ~kept[:, None]
        # Null at every position gives what one null token gives: equal values, whatever their weights.
        return torch.where(kept[:, None, None], self._embed(condition.tokens), self.null), mask

    def _embed(self, tokens: Tensor) -> Tensor:
        if not self.of_vocabulary:
            return self.embedding(tokens.to(self.embedding.weight.dtype))
        h = self.embedding(tokens)
        return h + sinusoids(torch.arange(h.shape[1], device=h.device), h.shape[2]).to(h.dtype)


def image_inputs(spec: DataSpec, kinds: Sequence[str]) -> int:
    """Channels that `with_image` adds: the image's and one more, or none."""
    return spec.conditions["image"].shape[0] + 1 if "image" in kinds else 0


def with_image(x: Tensor, condition: Condition | None, added: int) -> Tensor:
    """x, the condition's image at x's resolution, and whether there is one: (B, C + added, H, W).

    An image of another resolution is resized bilinearly. No image is zeros, which the last channel tells from
    an image of zeros.

    Args:
        x: (B, C, H, W).
        condition: with an image (B, added - 1, h, w), or without.
        added: 0 for a network that takes no images, and x as it is.

    Source: Ho et al. 2022, "Cascaded diffusion models", section 2.

    >>> c = Condition(image=torch.ones(2, 3, 4, 4), keep={"image": torch.tensor([True, False])})
    >>> y = with_image(torch.zeros(2, 1, 8, 8), c, 4)
    >>> y.shape, y[:, :, 0, 0].tolist()
    (torch.Size([2, 5, 8, 8]), [[0.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    """
    if not added:
        return x
    size = x.shape[2:]
    if condition is None or condition.image is None:
        return torch.cat([x, x.new_zeros(len(x), added, *size)], dim=1)
    image, kept = condition.image.to(x.dtype), expand_like(condition.kept("image"), x)
    if image.shape[2:] != size:
        image = functional.interpolate(image, size=size, mode="bilinear")
    there = kept.to(x.dtype).expand(-1, 1, *size)
    return torch.cat([x, torch.where(kept, image, 0), there], dim=1)
