"""Latent diffusion: a generative model of what a trained encoder makes of the data."""

from genlab.families.scaled_latents import ScaledLatents


class LatentDiffusion(ScaledLatents):
    """A diffusion model p(z) of scaled latents z = (encode(x) - mean) / std, and samples x = decode(mean + std z).

    Args:
        spec: of the data.
        first_stage: a trained model that can encode and decode these data.
        prior: makes a `Diffusion`, from the spec of the latents and of the data's conditions.

    Raises:
        UserError: as `ScaledLatents`.

    Source: Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models", section 3.
    """
