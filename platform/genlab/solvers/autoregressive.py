"""Autoregressive decoding: tokens drawn one after another."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.networks.token_network import TokenNetwork


class AutoregressiveDecoding:
    """x_i ~ p_i, p_i = softmax(logits(x_1, ..., x_{i-1}) / temperature), cut to its likeliest tokens.

    With guidance, logits = logits_null + scale (logits_condition - logits_null). Sample i's tokens come from its own
    stream of numbers u in [0, 1), one per position, as p's inverse distribution function of u.

    Args:
        temperature: below 1 sharpens.
        top_k: only so many tokens, the likeliest; 0 is all.
        top_p: only the fewest likeliest tokens that together have this probability or more; 1 is all.
        guidance_scale: 1 is without guidance, which doubles the cost.
        cached: whether what earlier positions came to is kept (the same tokens, faster).

    Raises:
        UserError: a number is out of range.

    Source: top-k: Fan et al. 2018, section 5.1; top-p: Holtzman et al. 2020, "The curious case of neural text
    degeneration", eq. 2-3; guidance: Ho and Salimans 2022, as for tokens Gafni et al. 2022, eq. 4.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        guidance_scale: float = 1.0,
        cached: bool = True,
    ):
        require(temperature > 0, "temperature", temperature, "a positive number", "top_k=1 is the limit 0")
        require(top_k >= 0, "top_k", top_k, "a number of tokens", "use 0 for all")
        require(0 < top_p <= 1, "top_p", top_p, "a probability in (0, 1]", "use 1 for all")
        require(
            guidance_scale >= 0, "guidance_scale", guidance_scale, "a non-negative number", "1 is without"
        )
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.guidance_scale, self.cached = guidance_scale, cached

    def __call__(
        self,
        network: TokenNetwork,
        *,
        condition: Condition | None = None,
        rng: RandomStreams,
        droppable: Sequence[str] = (),
    ) -> Tensor:
        """Tokens (len(rng), L) int64, from the network in the mode that it is in.

        Args:
            network: of the tokens.
            condition: of the samples.
            rng: one stream per sample.
            droppable: kinds of condition that guidance leads away from the loss of; none named is all of them.
        """
        num, length = len(rng), math.prod(network.grid)
        uniforms = rng.uniform((length,))
        guided = self.guidance_scale != 1 and condition is not None
        if guided:
            condition = Condition.cat([condition, condition.null(*droppable)])
        with torch.inference_mode():
            walk = self._cached if self.cached else self._anew
            tokens = walk(network, condition, uniforms, 2 if guided else 1)
        return tokens[:num].clone()  # a tensor that autograd takes

    def evaluations(self, network: TokenNetwork) -> int:
        """Evaluations of the network per sample with a condition: one per token, two under guidance."""
        return math.prod(network.grid) * (2 if self.guidance_scale != 1 else 1)

    def protocol(self) -> dict[str, object]:
        """How it samples, as primitives."""
        settings = {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}
        return {"solver": "autoregressive", **settings, "guidance_scale": self.guidance_scale}

    def _cached(
        self, network: TokenNetwork, condition: Condition | None, uniforms: Tensor, copies: int
    ) -> Tensor:
        cache, last, found = network.start(copies * len(uniforms), condition), None, []
        for u in uniforms.T:
            last = self._next(network.step(last, cache), u, copies)
            found.append(last)
        return torch.stack(found, dim=1)

    def _anew(
        self, network: TokenNetwork, condition: Condition | None, uniforms: Tensor, copies: int
    ) -> Tensor:
        tokens = torch.zeros(
            copies * len(uniforms), uniforms.shape[1], dtype=torch.int64, device=uniforms.device
        )
        for i, u in enumerate(uniforms.T):
            tokens[:, i] = self._next(network(tokens[:, : i + 1], condition)[:, i], u, copies)
        return tokens

    def _next(self, logits: Tensor, u: Tensor, copies: int) -> Tensor:
        """The drawn tokens, as often as there are copies of the batch."""
        if copies == 1:
            return self.draw(logits, u)
        given, null = logits.chunk(2)
        return self.draw(torch.lerp(null, given, self.guidance_scale), u).repeat(2)

    def draw(self, logits: Tensor, u: Tensor) -> Tensor:
        """One token per row of logits (B, V), by u (B,) uniform in [0, 1).

        >>> logits, u = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(4, 3), torch.tensor([0.0, 0.2, 0.65, 0.95])
        >>> AutoregressiveDecoding().draw(logits, u).tolist(), AutoregressiveDecoding(top_k=2).draw(logits, u).tolist()
        ([0, 1, 1, 2], [1, 1, 1, 2])
        """
        logits, order = logits.float(), None
        if self.temperature != 1:
            logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[1]:
            logits, order = logits.topk(self.top_k)
        elif self.top_p < 1:
            logits, order = logits.sort(dim=1, descending=True)
        p = torch.softmax(logits, dim=1, dtype=torch.float64)
        if self.top_p < 1:  # those that less than top_p is before
            p = p.masked_fill(p.cumsum(1) - p >= self.top_p, 0)
        below = p.cumsum(1)
        chosen = torch.searchsorted(below, u[:, None] * below[:, -1:], right=True)
        return (chosen if order is None else order.gather(1, chosen))[:, 0]
