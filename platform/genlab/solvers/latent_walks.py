"""Ways through the latents of a model that encodes and decodes: along an axis, and from one image to another."""

import torch
from torch import Tensor

from genlab.core import CanDecode, HasLatentPrior
from genlab.solvers.inversion import slerp
from genlab.solvers.latent_axes import LatentAxes

NUM_AT_ONCE = 64  # latents in the decoder


def traversal(z: Tensor, axes: LatentAxes, dims: Tensor, num_steps: int, reach: float = 2.0) -> Tensor:
    """Latents with one dimension moved through the prior, all others as they are: (N, K, num_steps, *latent).

    z_d = centre_d + t scale_d, t from -reach to reach

    Args:
        z: latents of N data, (N, *latent).
        axes: centre and scale of each dimension.
        dims: the K dimensions to move, of flattened latents.
        num_steps: values of t.
        reach: the largest t, in standard deviations of the prior.

    Source: Higgins et al. 2017, "beta-VAE", figures 1 to 4.

    >>> axes = LatentAxes(torch.zeros(2), torch.ones(2), torch.arange(2), torch.ones(2), "nats")
    >>> traversal(torch.tensor([[0.5, 0.7]]), axes, torch.tensor([1]), 3).tolist()
    [[[[0.5, -2.0], [0.5, 0.0], [0.5, 2.0]]]]
    """
    t = torch.linspace(-reach, reach, num_steps, device=z.device)
    flat = z.float().flatten(1)
    moved = flat[:, None, None].repeat(1, len(dims), num_steps, 1)
    for row, d in enumerate(dims.tolist()):
        moved[:, row, :, d] = axes.centre[d] + t * axes.scale[d]
    return moved.unflatten(-1, z.shape[1:])


def interpolation(a: Tensor, b: Tensor, num_steps: int, spherical: bool) -> Tensor:
    """Latents from a to b, both ends included: (N, num_steps, *latent), of pairs (N, *latent).

    Args:
        a, b: latents.
        num_steps: of each way.
        spherical: along the great circle, where draws of N(0, I) of many dimensions lie, instead of the chord.

    Source: White 2016, "Sampling generative networks", section 2.1.

    >>> interpolation(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), 3, True)[0]
    tensor([[1.0000, 0.0000],
            [0.7071, 0.7071],
            [0.0000, 1.0000]])
    """
    a, b = a.float(), b.float()
    shares = torch.linspace(0, 1, num_steps).tolist()
    ways = [slerp(a, b, share) if spherical else torch.lerp(a, b, share) for share in shares]
    return torch.stack(ways, dim=1)


def walks_on_sphere(model: object) -> bool:
    """Whether ways between its latents are spherical: where the prior is N(0, I)."""
    return isinstance(model, HasLatentPrior) and bool(model.normal_prior)


@torch.no_grad()
def decoded(model: CanDecode, z: Tensor, latent_dims: int) -> Tensor:
    """Data of latents (..., *latent), `latent_dims` of whose dimensions are a latent's own: (..., *data)."""
    lead = z.shape[: z.ndim - latent_dims]
    parts = [model.decode(part).float() for part in z.flatten(0, len(lead) - 1).split(NUM_AT_ONCE)]
    return torch.cat(parts).unflatten(0, lead)
