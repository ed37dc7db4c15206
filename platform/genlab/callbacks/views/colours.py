"""Tokens as colours, each with one of its own."""

import torch
from torch import Tensor

from genlab.core import require

FACTOR = 0x9E3779  # odd, so that multiplication permutes the numbers of 24 bits; neighbours get far apart
OFFSET = 0x3B5FC4  # so that token 0 is not black
NUM_COLOURS = 1 << 24


def token_colours(tokens: Tensor) -> Tensor:
    """Tokens (...) in 0..2^24 - 1 as colours (..., 3) in 0..255 uint8: no two tokens share one.

    Source: multiplicative hashing, Knuth 1973, "The art of computer programming" vol. 3, section 6.4.

    Raises:
        UserError: a token is not in this range.

    >>> token_colours(torch.tensor([0, 1])).tolist()
    [[59, 95, 196], [217, 151, 61]]
    """
    low, high = (int(tokens.min()), int(tokens.max())) if tokens.numel() else (0, 0)
    require(low >= 0 and high < NUM_COLOURS, "tokens", (low, high), "0 to 2^24 - 1", "use a smaller codebook")
    code = (tokens.long() * FACTOR + OFFSET) % NUM_COLOURS
    return torch.stack([code >> 16, code >> 8 & 255, code & 255], -1).byte()


def colour_tokens(colours: Tensor) -> Tensor:
    """The tokens that `token_colours` gave these colours: (..., 3) uint8 -> (...) int64.

    >>> colour_tokens(token_colours(torch.arange(5000))).equal(torch.arange(5000))
    True
    """
    red, green, blue = colours.long().unbind(-1)
    code = (red << 16 | green << 8 | blue) - OFFSET
    return code * pow(FACTOR, -1, NUM_COLOURS) % NUM_COLOURS
