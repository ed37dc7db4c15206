"""What a model's latents make of given images: reconstructions, ways between them, traversals, posterior draws."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from genlab.core import (
    CanDecode,
    CanEncode,
    CanReconstruct,
    HasLatentPrior,
    HasPosterior,
    RandomStreams,
    require,
)
from genlab.experiments.edits import Edit
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request, require_samples
from genlab.solvers.latent_axes import encoded, latent_axes
from genlab.solvers.latent_walks import interpolation, traversal, walks_on_sphere

NEEDS = {
    "reconstruct": (CanReconstruct,),
    "interpolate": (CanEncode, CanDecode),
    "traverse": (CanEncode, CanDecode),
    "posterior": (CanEncode, CanDecode, HasPosterior),
}
STEPS = {"interpolate": 8, "traverse": 9, "posterior": 8}  # of a row, by default
NUM_DIMS = 10  # those that carry most


def edits(loaded: Loaded, kind: str) -> bool:
    """Whether the model's latents can do this."""
    return kind in NEEDS and all(isinstance(loaded.model, need) for need in NEEDS[kind])


def number_of(loaded: Loaded, edit: Edit, request: Request, asked: int | None) -> int:
    """How many results there will be: `asked` in a row, or in all for reconstructions; by default, 8 or 9 in a row.

    Raises:
        UserError: a way or a traversal of less than 2; one image for a model whose latents' spread only data tell.
    """
    count, kind = len(edit.images), edit.kind
    require(request.label is None, "label", request.label, f"none with --{kind}", "leave it out")
    if kind == "reconstruct":
        return count if asked is None else asked
    steps = STEPS[kind] if asked is None else asked
    require(steps >= 2, "num", steps, "at least 2, both ends", f"pass --num {STEPS[kind]}")
    if kind != "traverse":
        return count * steps
    alone = count == 1 and not isinstance(loaded.model, HasLatentPrior)
    require(not alone, "traverse", "one image", "several: this model has no prior to say how far", "pass val")
    num_dims = min(NUM_DIMS, loaded.model.latent_spec[loaded.model.latent_spec.data].num_values)
    return count * num_dims * steps


def row_length(edit: Edit, num: int, loaded: Loaded) -> int | None:
    """Results in a row of a grid; None for reconstructions, which stand under their images."""
    if edit.kind == "reconstruct":
        return None
    rows = 1
    if edit.kind == "traverse":
        rows = min(NUM_DIMS, loaded.model.latent_spec[loaded.model.latent_spec.data].num_values)
    return num // (len(edit.images) * rows)


def draw_edited(loaded: Loaded, request: Request, edit: Edit) -> Iterator[dict[str, Tensor]]:
    """Batches of `request.num` results on the CPU, as `sampling.draw` gives them; image by image, row by row.

    Reconstructions come with the images that they are of, as `original`.
    """
    device, data = loaded.model.device, loaded.spec.data
    with torch.no_grad():
        z = None if edit.kind == "reconstruct" else latents(loaded, request, edit)
    for start in range(0, request.num, request.batch_size):
        numbers = torch.arange(start, min(start + request.batch_size, request.num))
        original = {}
        with torch.no_grad():
            if z is None:
                original = {"original": edit.images[numbers % len(edit.images)]}
                x = loaded.model.reconstruct(original["original"].to(device))
            else:
                x = loaded.model.decode(z[numbers])
        x = x.float().cpu()
        require_samples(x, range(start, start + len(x)))
        yield {data: x.clamp(-1, 1) if data == "image" else x, **original}


def latents(loaded: Loaded, request: Request, edit: Edit) -> Tensor:
    """The latents of all results, (request.num, *latent)."""
    model = loaded.model
    x = edit.images.to(model.device)
    steps = row_length(edit, request.num, loaded)
    if edit.kind == "posterior":
        rows = torch.arange(request.num, device=x.device) // steps
        parts = rows.split(request.batch_size)
        streams = RandomStreams(request.seed, request.num, x.device).split(request.batch_size)
        draws = [model.encode_draw(x[part], rng) for part, rng in zip(parts, streams, strict=True)]
        return torch.cat(draws).float()
    z = encoded(model, x)
    if edit.kind == "interpolate":
        other = encoded(model, edit.others.to(model.device))
        return interpolation(z, other, steps, walks_on_sphere(model)).flatten(0, 1)
    axes = latent_axes(model, x, z)
    return traversal(z, axes, axes.order[:NUM_DIMS], steps).flatten(0, 2)


def about_edit(loaded: Loaded, edit: Edit) -> dict[str, Any]:
    """How the results were made, as primitives."""
    how: dict[str, Any] = {"edit": edit.kind, "num_images": len(edit.images), "sampler": None}
    if edit.kind == "interpolate":
        how["interpolation"] = "spherical" if walks_on_sphere(loaded.model) else "linear"
    if edit.kind == "traverse":
        with torch.no_grad():
            axes = latent_axes(loaded.model, edit.images.to(loaded.model.device))
        dims = axes.order[:NUM_DIMS].tolist()
        how |= {"dims": dims, "carried": [float(axes.carried[d]) for d in dims], "unit": axes.unit}
    return how
