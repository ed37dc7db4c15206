"""How near a model's reconstructions are to their originals, and what a denoiser gains on corrupted ones."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genlab.core import CanEncode, RandomStreams
from genlab.experiments.evaluation_plan import Request, can_denoise, choose_rows
from genlab.experiments.evaluation_sides import Progress
from genlab.experiments.loading import Loaded
from genlab.experiments.world import ALONE, World
from genlab.metrics.baselines import PrincipalComponents
from genlab.metrics.reconstruction import DENOISING, RECONSTRUCTION, RECONSTRUCTION_SCORES, median_filter
from genlab.metrics.reference import gather_data

MOST_TRAIN = 2000  # training data whose principal components are a baseline
MODEL = ""  # the column of the model itself

Rows = dict[str, dict[str, Any]]
Pairs = Iterator[tuple[str, str, Tensor]]  # column, prefix of the score, images beside the originals


def reconstruction_scores(
    loaded: Loaded, request: Request, data: Any, progress: Progress, world: World = ALONE
) -> tuple[Rows, dict[str, Rows]]:
    """Scores of the model, and of each baseline: entries by score, and those by baseline.

    The noise of datum i is stream (seed, i). Several processes share the batches; the first has the scores.

    Args:
        loaded: a model that reconstructs images.
        request: metrics, split, number of data.
        data: where the images are from.
        progress: told of what is going on.
        world: the processes that share the work.
    """
    modality, device = loaded.spec["image"], next(loaded.model.parameters()).device
    names, denoises = chosen(loaded, request)
    count = choose_rows(request, data.num_samples(request.split))
    linear = principal_components(loaded, data) if names and request.baselines else None
    blocks: dict[int, dict[tuple[str, str], Tensor]] = {}
    with progress("reconstructing", count) as advance, torch.inference_mode():
        batches = data.batches(request.split, batch_size=request.batch_size, num=count)
        for number, batch in enumerate(batches):
            if not world.owns(number):
                continue
            x, first = batch["image"].to(device), number * request.batch_size
            rng = RandomStreams(request.seed, range(first, first + len(x)), device) if denoises else None
            found = blocks[number] = {}
            for column, prefix, y in pairs(loaded, x, linear if names else None, bool(names), rng):
                if column == MODEL or request.baselines:
                    for name in names if not prefix else ("psnr", "ssim"):
                        if not RECONSTRUCTION[name].missing(modality):
                            found[column, prefix + name] = RECONSTRUCTION[name].per_image(y.float(), x).cpu()
            advance(len(x) * world.size)
    parts = world.gather(blocks)
    if not world.first:
        return {}, {}
    scores: dict[str, Rows] = {MODEL: {}}
    for column, score in parts[0]:
        name = score.removeprefix("denoised_")
        comparison = RECONSTRUCTION[name]
        value = comparison.finish(float(torch.cat([part[column, score] for part in parts]).double().mean()))
        about = {"num_samples": count, **comparison.protocol(modality)}
        if score != name:
            about |= loaded.model.corruption_protocol()
        scores.setdefault(column, {})[score] = {"value": value, "std": None, "protocol": about}
    return scores.pop(MODEL), scores


def chosen(loaded: Loaded, request: Request) -> tuple[list[str], bool]:
    """The measures of reconstructions that are asked for and can be had, and whether denoising is scored."""
    asked = [*RECONSTRUCTION_SCORES] if request.metrics is None else request.metrics
    names = [n for n in RECONSTRUCTION if n in asked and not RECONSTRUCTION[n].missing(loaded.spec["image"])]
    return names, DENOISING in asked and can_denoise(loaded)


def pairs(
    loaded: Loaded,
    x: Tensor,
    linear: PrincipalComponents | None,
    reconstruct: bool,
    rng: RandomStreams | None,
) -> Pairs:
    """Everything that is held beside images x: reconstructions, and where there is noise, what is made of it."""
    if reconstruct:
        yield MODEL, "", loaded.model.reconstruct(x)
    if linear is not None:
        yield f"PCA, {linear.num} components", "", linear.reconstruct(x)
    if rng is not None:
        corrupted = loaded.model.corrupt(x, rng)
        yield MODEL, "denoised_", loaded.model.denoise(corrupted)
        yield "corrupted images", "denoised_", corrupted
        yield "median filter 3x3", "denoised_", median_filter(corrupted)


def principal_components(loaded: Loaded, data: Any) -> PrincipalComponents | None:
    """As many of the training data's as the model has latents; None where it has none, or too many for that."""
    if not isinstance(loaded.model, CanEncode):
        return None
    num = loaded.model.latent_spec[loaded.model.latent_spec.data].num_values
    train, _ = gather_data(data.batches("train", num=MOST_TRAIN), "image")
    return PrincipalComponents(train, num) if num < min(len(train), train[0].numel()) else None
