"""Editing images with a loaded diffusion model, in batches, as `lightning sample` draws."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams
from genlab.experiments.edit_space import check_editable
from genlab.experiments.edits import Edit, check_edit, number_of, row_length, solver_of
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request, num_classes
from genlab.solvers.image_to_image import image_to_image
from genlab.solvers.inpainting import inpaint
from genlab.solvers.inversion import generate, invert, slerp

__all__ = ["about_edit", "draw_edited", "number_of", "row_length"]


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
    """One batch of results: of images `rows`, `shares` of the way to the others.

    Latents are edited in place of data that they stand for. What an image lacks is grey to the encoder then, and what
    it has is put back where the decoder blurs it (blended latent diffusion, Avrahami et al. 2023).
    """
    model, space = loaded.model, check_editable(loaded)
    denoiser, guided = space.part.denoiser, space.part.guided()
    x = edit.images[rows].to(model.device)
    condition = None if labels is None else Condition(label=labels.to(model.device))
    settings = {"solver": solver_of(loaded, edit), "condition": condition}
    if edit.kind == "inpaint":
        missing = edit.missing.to(model.device)
        z, known = space.enter(x.masked_fill(missing, 0)), ~space.missing(missing)
        z = inpaint(guided, z, known, resamples=edit.resamples, rng=rng, **settings)
        return torch.where(missing, space.leave(z), x)
    z = space.enter(x)
    if edit.kind == "from":
        return space.leave(image_to_image(guided, z, edit.strength, rng=rng, **settings))
    noise = invert(denoiser, z, **settings)  # without guidance or clamping, which have no way back
    if edit.kind == "interpolate":
        other = invert(denoiser, space.enter(edit.others[rows].to(model.device)), **settings)
        pairs = zip(noise.split(1), other.split(1), shares.tolist(), strict=True)
        noise = torch.cat([slerp(a, b, share) for a, b, share in pairs])
    return space.leave(generate(denoiser, noise, **settings))


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
    if check_editable(loaded).latents is not None:
        how["space"] = "scaled latents"
    return {**how, **more.get(edit.kind, {}), "sampler": solver_of(loaded, edit).protocol()}
