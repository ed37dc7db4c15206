"""What the tokens of one sample choose from, and where they lie."""

import math
from dataclasses import dataclass

from torch import Tensor

from genlab.core.errors import require
from genlab.core.spec import ModalitySpec


@dataclass(frozen=True)
class Codebooks:
    """The levels of a tokenizer: M codebooks of K codes each, and the grid of each one's tokens.

    Of one level, a sample's tokens have its grid's shape. Of levels on one grid, as residual quantisation has, they
    are stacked, (*grid, M); of levels on grids that differ, they are a sequence, (L,), one grid after another.

    Args:
        num_codes: K; tokens are 0..K-1.
        grids: of the tokens of levels 1..M, from coarse to fine: (h, w), or (L,).

    Raises:
        UserError: there are no codes, no levels, or a grid without positions.

    >>> residual, hierarchy = Codebooks(8, ((4, 4), (4, 4))), Codebooks(8, ((2, 2), (4, 4)))
    >>> residual.shape, hierarchy.shape, hierarchy.num_tokens, hierarchy.bits
    ((4, 4, 2), (20,), 20, 60.0)
    """

    num_codes: int
    grids: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "grids", tuple(tuple(grid) for grid in self.grids))
        require(self.num_codes >= 1, "num_codes", self.num_codes, "a positive integer", "raise it")
        ok = len(self.grids) > 0 and all(len(grid) > 0 and math.prod(grid) > 0 for grid in self.grids)
        require(ok, "grids", self.grids, "the grid of each level's tokens", "give for example ((4, 4),)")

    @property
    def num_levels(self) -> int:
        """M."""
        return len(self.grids)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each level."""
        return [math.prod(grid) for grid in self.grids]

    @property
    def num_tokens(self) -> int:
        """Of all levels together."""
        return sum(self.lengths)

    @property
    def bits(self) -> float:
        """Of a sample's tokens, each as long as any other."""
        return self.num_tokens * math.log2(self.num_codes)

    @property
    def stacked(self) -> bool:
        """Whether several levels share one grid."""
        return self.num_levels > 1 and len(set(self.grids)) == 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample's tokens."""
        if self.stacked:
            return (*self.grids[0], self.num_levels)
        return self.grids[0] if self.num_levels == 1 else (self.num_tokens,)

    @property
    def modality(self) -> ModalitySpec:
        """Of the tokens as data."""
        several = self.num_levels > 1 and not self.stacked
        return ModalitySpec(self.shape, num_classes=self.num_codes, grids=self.grids if several else ())

    def split(self, tokens: Tensor) -> list[Tensor]:
        """The tokens of each level, (B, *grid) each, of tokens (B, *shape).

        >>> import torch
        >>> [own.tolist() for own in Codebooks(9, ((1,), (2, 1))).split(torch.tensor([[7, 8, 9]]))]
        [[[7]], [[[8], [9]]]]
        """
        if self.num_levels == 1:
            return [tokens]
        if self.stacked:
            return list(tokens.unbind(-1))
        parts = tokens.split(self.lengths, dim=1)
        return [part.unflatten(1, grid) for part, grid in zip(parts, self.grids, strict=True)]

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.grids))} of {self.num_codes:,} codes"
