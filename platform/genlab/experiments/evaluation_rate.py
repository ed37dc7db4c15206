"""Rate and distortion: what a model's codes of held-out data cost, and what is lost by them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genlab.core import CanDecode, CanTokenize, Codebooks, HasPosterior, HasRate, RandomStreams
from genlab.experiments.evaluation_plan import Request, choose_rows
from genlab.experiments.evaluation_sides import Progress
from genlab.experiments.loading import Loaded
from genlab.experiments.rate_baselines import Rows, entries, mean_code, squared_error, vector_code
from genlab.experiments.world import ALONE, World
from genlab.metrics import code_counts, code_use

# x, noise -> bits (B,), reconstructions, tokens where there are any
Step = Callable[[Tensor, RandomStreams], tuple[Tensor, Tensor, Tensor | None]]


@dataclass(frozen=True)
class Code:
    """A way to write data down and to read them again.

    Args:
        words: what it is.
        step: data and noise -> bits per datum, reconstructions and tokens.
        codebooks: of the tokens, where there are any.
    """

    words: str
    step: Step
    codebooks: Codebooks | None = None

    @property
    def bits(self) -> float:
        """Of a datum's tokens, all of which are equally long; 0 without any."""
        return self.codebooks.bits if self.codebooks else 0.0


def code_of(model: Any) -> Code | None:
    """A model's code, or None where it has none.

    Latents are charged KL(q(z | x) || p(z)), which bits-back coding reaches; it buys draws of q(z | x), so that these
    are what is decoded. Tokens are charged log2 K each, whatever they are.

    Source: Alemi et al. 2018, "Fixing a broken ELBO", section 2; Hinton and van Camp 1993 (bits back).
    """
    if isinstance(model, HasRate) and isinstance(model, HasPosterior) and isinstance(model, CanDecode):

        def latents(x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor, None]:
            return model.rate(x, rng) / math.log(2), model.decode(model.encode_draw(x, rng)), None

        return Code("KL(q(z|x) || p(z)), decoded posterior draws", latents)
    if isinstance(model, CanTokenize):
        books = model.codebooks

        def quantised(x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor, Tensor]:
            found = model.tokenize(x)
            return torch.full((len(x),), books.bits, device=x.device), model.detokenize(found), found

        words = f"{books.num_tokens} tokens of {books.num_codes} values, fixed length"
        return Code(words, quantised, books)
    return None


def rate_scores(
    loaded: Loaded, request: Request, data: Any, progress: Progress, world: World = ALONE
) -> tuple[Rows, dict[str, Rows]]:
    """`rate_bits` and `distortion_mse` of a split, and of tokens `usage` and `perplexity`; the first two of baselines.

    The rate is in bits per datum, the distortion the mean squared error per value, in units of [-1, 1]. Baselines are
    the training data's mean, which costs nothing, and beside tokens PCA and k-means in as many bits, the next whole
    number, where data are not too large for it. The noise of datum i is stream (seed, i). Several processes share the
    batches; the first has the scores.
    """
    model, name = loaded.model, loaded.spec.data
    code = code_of(model)
    if code is None:
        return {}, {}
    device = next(model.parameters()).device
    count, found = choose_rows(request, data.num_samples(request.split)), {}
    with progress("rate and distortion", count) as advance, torch.inference_mode():
        for number, batch in enumerate(data.batches(request.split, batch_size=request.batch_size, num=count)):
            if not world.owns(number):
                continue
            x, first = batch[name].to(device), number * request.batch_size
            bits, y, tokens = code.step(x, RandomStreams(request.seed, range(first, first + len(x)), device))
            counts = None if tokens is None else code_counts(tokens, code.codebooks).cpu()
            found[number] = torch.stack([bits.double(), squared_error(x, y)], 1).cpu(), counts
            advance(len(x) * world.size)
    parts = world.gather(found)
    if not world.first:
        return {}, {}
    scores = entries(torch.cat([values for values, _ in parts]), code.words)
    if code.codebooks is not None:
        scores |= use_entries(sum(counts for _, counts in parts))
    if not request.baselines:
        return scores, {}
    baselines = {"training mean": mean_code(data, name, request, count)}
    return scores, baselines | vector_code(data, name, request, count, math.ceil(code.bits))


def use_entries(counts: Tensor) -> Rows:
    """Of a whole split's counts, (codebooks, K), as results.json has them."""
    about = {"codebooks": len(counts), "codes": counts.shape[1], "num_tokens": int(counts.sum())}
    protocol = {**about, "num_draws": 1, "extractor": None}
    scores = code_use(counts).items()
    return {name: {"value": float(value), "std": None, "protocol": protocol} for name, value in scores}
