"""Rate and distortion: what a model's codes of held-out data cost, and what is lost by them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genlab.core import CanDecode, CanTokenize, HasPosterior, HasRate, RandomStreams
from genlab.experiments.evaluation_plan import Request, choose_rows
from genlab.experiments.evaluation_sides import Progress
from genlab.experiments.loading import Loaded
from genlab.experiments.world import ALONE, World

MOST_TRAIN = 50_000  # training data whose mean is the baseline

Rows = dict[str, dict[str, Any]]
Step = Callable[[Tensor, RandomStreams], tuple[Tensor, Tensor]]  # x, noise -> bits (B,), reconstructions


@dataclass(frozen=True)
class Code:
    """A way to write data down and to read them again.

    Args:
        words: what it is.
        step: data and noise -> bits per datum and reconstructions.
    """

    words: str
    step: Step


def code_of(model: Any) -> Code | None:
    """A model's code, or None where it has none.

    Latents are charged KL(q(z | x) || p(z)), which bits-back coding reaches; it buys draws of q(z | x), so that these
    are what is decoded. Tokens are charged log2 K each, whatever they are.

    Source: Alemi et al. 2018, "Fixing a broken ELBO", section 2; Hinton and van Camp 1993 (bits back).
    """
    if isinstance(model, HasRate) and isinstance(model, HasPosterior) and isinstance(model, CanDecode):

        def latents(x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor]:
            return model.rate(x, rng) / math.log(2), model.decode(model.encode_draw(x, rng))

        return Code("KL(q(z|x) || p(z)), decoded posterior draws", latents)
    if isinstance(model, CanTokenize):
        tokens = model.token_spec[model.token_spec.data]
        bits = tokens.num_values * math.log2(tokens.num_classes)

        def quantised(x: Tensor, rng: RandomStreams) -> tuple[Tensor, Tensor]:
            return torch.full((len(x),), bits, device=x.device), model.detokenize(model.tokenize(x))

        return Code(f"{tokens.num_values} tokens of {tokens.num_classes} values, fixed length", quantised)
    return None


def rate_scores(
    loaded: Loaded, request: Request, data: Any, progress: Progress, world: World = ALONE
) -> tuple[Rows, dict[str, Rows]]:
    """`rate_bits` and `distortion_mse` of a split, and those of the training data's mean, which costs nothing.

    The rate is in bits per datum, the distortion the mean squared error per value, in units of [-1, 1]. The noise of
    datum i is stream (seed, i). Several processes share the batches; the first has the scores.
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
            bits, y = code.step(x, RandomStreams(request.seed, range(first, first + len(x)), device))
            found[number] = torch.stack([bits.double(), squared_error(x, y)], 1).cpu()
            advance(len(x) * world.size)
    parts = world.gather(found)
    if not world.first:
        return {}, {}
    scores = entries(torch.cat(parts), code.words)
    return scores, {"training mean": mean_code(data, name, request, count)} if request.baselines else {}


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Per datum, the mean over its values: (B, ...) -> (B,) float64."""
    return (x.double() - y.double()).square().flatten(1).mean(1)


def mean_code(data: Any, name: str, request: Request, count: int) -> Rows:
    """The code that says nothing: every datum is read as the training data's mean."""
    total, num = torch.zeros(()), 0
    for batch in data.batches("train", num=MOST_TRAIN):
        total, num = total + batch[name].double().sum(0), num + len(batch[name])
    held_out = data.batches(request.split, batch_size=request.batch_size, num=count)
    errors = torch.cat([squared_error(batch[name], total / num) for batch in held_out])
    return entries(torch.stack([torch.zeros_like(errors), errors], 1), "none")


def entries(values: Tensor, words: str) -> Rows:
    """As results.json has them: of bits and errors per datum, (N, 2)."""
    rows: Rows = {}
    for name, column in zip(("rate_bits", "distortion_mse"), values.unbind(1), strict=True):
        error = float(column.std(correction=0)) / math.sqrt(len(column))
        about = {"code": words, "num_samples": len(column), "num_draws": 1, "extractor": None}
        rows[name] = {
            "value": float(column.mean()),
            "std": None,
            "protocol": {**about, "standard_error": error},
        }
    return rows
