"""Along which latent dimensions there is something to see, and how far to go."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.core import CanEncode, HasLatentKL, HasLatentPrior, RandomStreams

NUM_DRAWS = 1024  # of a prior that is not N(0, I), for its mean and deviation
NUM_AT_ONCE = 64  # data in the encoder


@dataclass(frozen=True)
class LatentAxes:
    """The dimensions of flattened latents, (D,) each.

    Args:
        centre, scale: mean and standard deviation of each under the prior, or of encoded data where there is no prior.
        order: their numbers, what carries most first.
        carried: what each carries, in the order of the dimensions.
        unit: of `carried`: "nats" (KL of posterior and prior) or "variance" (of encoded data, over the prior's).
    """

    centre: Tensor
    scale: Tensor
    order: Tensor
    carried: Tensor
    unit: str


@torch.no_grad()
def encoded(model: CanEncode, x: Tensor) -> Tensor:
    """Latents of x, a few at a time, (N, *latent) in float32."""
    return torch.cat([model.encode(part).float() for part in x.split(NUM_AT_ONCE)])


@torch.no_grad()
def latent_axes(model: CanEncode, x: Tensor, z: Tensor | None = None) -> LatentAxes:
    """The axes of a model's latents, by data (N, ...); for N(0, I) their centre is 0 and their scale 1.

    Args:
        model: an encoder, and what it has of a prior and of KLs per dimension.
        x: data that tell what each dimension carries.
        z: their latents, where they are known.
    """
    z = (encoded(model, x) if z is None else z).flatten(1)
    centre, scale = torch.zeros_like(z[0]), torch.ones_like(z[0])
    if not isinstance(model, HasLatentPrior):
        centre, scale = z.mean(0), z.std(0, correction=0)
    elif not model.normal_prior:
        draws = model.sample_latents(RandomStreams(0, NUM_DRAWS, x.device)).float().flatten(1)
        centre, scale = draws.mean(0), draws.std(0)
    if isinstance(model, HasLatentKL) and model.has_latent_kl:
        parts = [model.kl_per_dimension(part).float() for part in x.split(NUM_AT_ONCE)]
        carried, unit = torch.cat(parts).mean(0), "nats"
    else:
        alone = not isinstance(model, HasLatentPrior)  # else each would carry 1
        carried, unit = (
            z.var(0, correction=0) / (1.0 if alone else scale.square().clamp(min=1e-12)),
            "variance",
        )
    return LatentAxes(centre, scale, carried.argsort(descending=True, stable=True), carried, unit)
