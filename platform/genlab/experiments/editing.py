"""Editing images with a loaded diffusion model, in batches, as `lightning sample` draws."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams
from genlab.experiments.edits import (
    Edit,
    check_edit,
    check_editable,
    has_denoiser,
    number_of,
    row_length,
    solver_of,
)
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request, num_classes
from genlab.solvers.image_to_image import image_to_image
from genlab.solvers.inpainting import inpaint
from genlab.solvers.inversion import generate, invert, slerp

__all__ = ["about_edit", "check_editable", "draw_edited", "has_denoiser", "number_of", "row_length"]


def draw_edited(loaded: Loaded, request: Request, edit: Edit) -> Iterator[dict[str, Tensor]]:
    """Batches of `request.num` edited images on the CPU, as `sampling.draw` gives them.

    Result i comes from image i modulo their number and from the i-th random stream alone; an interpolation
    has its results pair by pair, as many for each.
    """
    check_edit(loaded, edit, request)
    for start in range(0, request.num, request.batch_size):
        numbers = torch.arange(start, min(start + request.batch_size, request.num))
        if edit.kind == "interpolate":
            per_pair = request.num // len(edit.images)
            rows, shares = numbers // per_pair, numbers % per_pair / max(1, per_pair - 1)
        else:
            rows, shares = numbers % len(edit.images), torch.zeros(len(numbers))
        labels = labels_for(loaded, request, edit, rows)
        rng = RandomStreams(request.seed, numbers.tolist(), loaded.model.device)
        with loaded.model.evaluating():
            x = edited(loaded, edit, rows, shares, labels, rng).float().cpu()
        batch = {loaded.spec.data: x.clamp(-1, 1) if loaded.spec.data == "image" else x}
        if edit.kind == "reconstruct":
            batch["original"] = edit.images[rows]
        yield batch if labels is None else {**batch, "label": labels}


def edited(
    loaded: Loaded, edit: Edit, rows: Tensor, shares: Tensor, labels: Tensor | None, rng: RandomStreams
) -> Tensor:
    """One batch of results: of images `rows`, `shares` of the way to the others."""
    model = loaded.model
    x = edit.images[rows].to(model.device)
    condition = None if labels is None else Condition(label=labels.to(model.device))
    settings = {"solver": solver_of(loaded, edit), "condition": condition}
    if edit.kind == "inpaint":
        known = ~edit.missing.to(model.device)
        return inpaint(model.guided(), x, known, resamples=edit.resamples, rng=rng, **settings)
    if edit.kind == "from":
        return image_to_image(model.guided(), x, edit.strength, rng=rng, **settings)
    latent = invert(model.denoiser, x, **settings)  # without guidance or clamping, which have no way back
    if edit.kind == "interpolate":
        other = invert(model.denoiser, edit.others[rows].to(model.device), **settings)
        pairs = zip(latent.split(1), other.split(1), shares.tolist(), strict=True)
        latent = torch.cat([slerp(a, b, share) for a, b, share in pairs])
    return generate(model.denoiser, latent, **settings)


def labels_for(loaded: Loaded, request: Request, edit: Edit, rows: Tensor) -> Tensor | None:
    """Classes of results: the one asked for, else their images' own, else none."""
    if not num_classes(loaded):
        return None
    if request.label is not None:
        return torch.full_like(rows, request.label)
    return None if edit.labels is None else edit.labels[rows]


def about_edit(loaded: Loaded, edit: Edit) -> dict[str, Any]:
    """How the images were edited, as primitives."""
    more = {"inpaint": {"resamples": edit.resamples}, "from": {"strength": edit.strength}}
    how = {"edit": edit.kind, "num_images": len(edit.images)}
    return {**how, **more.get(edit.kind, {}), "sampler": solver_of(loaded, edit).protocol()}
