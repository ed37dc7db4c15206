"""Editing images with a loaded diffusion model, in batches, as `lightning sample` draws."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import RandomStreams
from genlab.experiments.edit_space import EditSpace, check_editable
from genlab.experiments.edits import Edit, check_edit, lowered, number_of, row_length, solver_of
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request, num_classes, require_samples
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
            label = None if labels is None else labels.to(loaded.model.device)
            x = edited(loaded.model, edit, rows, shares, label, rng).float().cpu()
        require_samples(x, range(start, start + len(x)))
        batch = {loaded.spec.data: x.clamp(-1, 1) if loaded.spec.data == "image" else x}
        if edit.kind == "reconstruct":
            batch["original"] = edit.images[rows]
        yield batch if labels is None else {**batch, "label": labels}


def edited(
    model: nn.Module, edit: Edit, rows: Tensor, shares: Tensor, label: Tensor | None, rng: RandomStreams
) -> Tensor:
    """One batch of results: of images `rows`, `shares` of the way to the others.

    Latents are edited in place of data that they stand for. What an image lacks is grey to the encoder then, and what
    it has is put back where the decoder blurs it (blended latent diffusion, Avrahami et al. 2023). A cascade's base
    edits the images' low resolution, which its last model enlarges as it edits the images themselves.
    """
    space, low = check_editable(model), None
    if space.base is not None:
        ours = space.streams("base", rng)
        low = edited(space.base, lowered(space, edit), rows, shares, label, ours).clamp(-1, 1)
    denoiser, guided, solver = space.part.denoiser, space.part.guided(), solver_of(space, edit)
    x, condition = edit.images[rows].to(model.device), space.condition(low, label, rng)
    settings = {"solver": solver, "condition": condition}
    if edit.kind == "inpaint":
        missing = edit.missing.to(model.device)
        z, known = space.enter(x.masked_fill(missing, 0)), ~space.missing(missing)
        z = inpaint(guided, z, known, resamples=edit.resamples, rng=rng, **settings)
        return torch.where(missing, space.leave(z), x)
    if edit.kind == "from":
        return space.leave(image_to_image(guided, space.enter(x), edit.strength, rng=rng, **settings))

    def noise_of(x: Tensor) -> Tensor:
        own = None if low is None else space.lowered(x)[0]
        # Without guidance or clamping, which have no way back.
        return invert(denoiser, space.enter(x), solver=solver, condition=space.condition(own, label, rng))

    noise = noise_of(x)
    if edit.kind == "interpolate":
        other = noise_of(edit.others[rows].to(model.device))
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
    space = check_editable(loaded.model)
    if space.latents is not None:
        how["space"] = "scaled latents"
    how |= {**more.get(edit.kind, {}), "sampler": sampler(space, edit)}
    while space.base is not None:
        edit, space = lowered(space, edit), check_editable(space.base)
        how.setdefault("base_samplers", []).append(sampler(space, edit))
    return how


def sampler(space: EditSpace, edit: Edit) -> dict[str, Any]:
    """The solver, and the guidance, where there is any, as primitives."""
    guided = edit.kind in ("inpaint", "from")  # the others find noise, and return, without
    return solver_of(space, edit).protocol() | (space.part.guidance_protocol() if guided else {})
