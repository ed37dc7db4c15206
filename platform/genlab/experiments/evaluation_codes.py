"""Disentanglement of an encoder's codes, beside codes that know nothing and an encoder that was not trained."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import CanEncode, RandomStreams, derive_seed
from genlab.experiments.evaluation_plan import Request, choose_rows
from genlab.experiments.evaluation_sides import Progress
from genlab.experiments.loading import Loaded, build_model
from genlab.experiments.world import ALONE, World
from genlab.metrics.disentanglement import DISENTANGLEMENT, code_metric

Rows = dict[str, dict[str, Any]]
OF_NARROW = "dci"  # its forests choose among all dimensions: minutes beyond
WIDE = 64


def chosen_codes(loaded: Loaded, request: Request) -> tuple[list[str], dict[str, str]]:
    """The metrics of codes that were asked for, or all; and why one is left out, where nobody asked for it by name."""
    if request.metrics is not None:
        return [name for name in DISENTANGLEMENT if name in request.metrics], {}
    latent = loaded.model.latent_spec
    width = latent[latent.data].num_values
    if width <= WIDE:
        return list(DISENTANGLEMENT), {}
    reason = f"takes minutes on codes of {width} dimensions; ask for it by name"
    return [name for name in DISENTANGLEMENT if name != OF_NARROW], {OF_NARROW: reason}


def code_scores(
    loaded: Loaded, request: Request, data: Any, progress: Progress, world: World = ALONE
) -> tuple[Rows, dict[str, Rows]]:
    """Scores of the model's codes, and of each baseline's: entries by score, and those by baseline.

    The codes are what `encode` gives: of a random posterior, its mean. Several processes share the encoding; the first
    has the scores.

    Args:
        loaded: a model that can encode.
        request: metrics, split, number of data.
        data: with factors.
        progress: told of what is going on.
        world: the processes that share the work.
    """
    names, _ = chosen_codes(loaded, request)
    count = choose_rows(request, data.num_samples(request.split))
    codes, factors = encode(loaded.model, loaded, request, data, count, progress, world)
    seed, tables = derive_seed(request.seed, "codes"), {"": codes}
    if request.baselines:
        untrained = new_encoder(loaded, seed)
        tables["random encoder"] = encode(untrained, loaded, request, data, count, progress, world)[0]
    if not world.first:
        return {}, {}
    if request.baselines:
        tables["random code"] = RandomStreams(seed, count).normal((codes.shape[1],))
    scores: dict[str, Rows] = {}
    with progress("codes", len(tables) * len(names)) as advance:
        for title, table in tables.items():
            scores[title] = {}
            for name in names:
                scores[title] |= score(name, table, factors, request.seed)
                advance(1)
    return scores.pop(""), scores


def score(name: str, codes: Tensor, factors: Tensor, seed: int) -> Rows:
    """One metric's scores with their protocol."""
    metric = code_metric(name, seed)
    metric.update(codes, factors)
    about = {"codes": f"encode, {codes.shape[1]} dimensions", "num_samples": len(codes), **metric.protocol()}
    found = metric.compute()
    return {key: {"value": float(value), "std": None, "protocol": about} for key, value in found.items()}


def encode(
    model: CanEncode,
    loaded: Loaded,
    request: Request,
    data: Any,
    count: int,
    progress: Progress,
    world: World,
) -> tuple[Tensor, Tensor]:
    """Codes (N, D) of the first `count` data, and their factors (N, K), on the CPU; empty but on the first process."""
    device, codes, factors = next(loaded.model.parameters()).device, {}, {}
    with progress("encoding", count) as advance, torch.inference_mode():
        batches = data.batches(request.split, batch_size=request.batch_size, num=count)
        for number, batch in enumerate(batches):
            if world.owns(number):
                codes[number] = model.encode(batch[loaded.spec.data].to(device)).flatten(1).float().cpu()
                factors[number] = batch["factors"].cpu()
                advance(len(codes[number]) * world.size)
    parts = world.gather(codes), world.gather(factors)
    return tuple(torch.cat(part) if part else torch.empty(0) for part in parts)


def new_encoder(loaded: Loaded, seed: int) -> CanEncode:
    """The run's model as it was before training, but for the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(loaded.config["model"], loaded.spec)
    return model.eval().to(next(loaded.model.parameters()).device)
