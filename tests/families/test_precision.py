"""Every family under every precision of the trainer: what it computes with, and that it can be sampled there."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch

from genlab.core import CanReconstruct, CanSample, CanTokenize, RandomStreams
from genlab.data import Digits
from genlab.families import GAN, VAE, VQGAN, VQVAE, Autoregressive, Diffusion, HierarchicalVAE
from genlab.networks import (
    DCGANCritic,
    DCGANGenerator,
    FiniteScalar,
    HierarchicalQuantiser,
    LadderDecoder,
    LadderEncoder,
    LookupFree,
    MapDecoder,
    MapEncoder,
    PatchCritic,
    ResidualQuantiser,
    SNGANCritic,
    SNGANGenerator,
    TokenTransformer,
    UNet,
    VectorQuantiser,
)
from genlab.objectives import R1, AdversarialObjective, GradientPenalty, Wasserstein
from genlab.solvers import Euler

SPEC = Digits().spec
NARROW = {"channels": [8, 8], "num_blocks": 1}
ENDS = {"encoder": partial(MapEncoder, **NARROW), "decoder": partial(MapDecoder, **NARROW)}
FAMILIES = {
    "diffusion": lambda: Diffusion(
        SPEC, partial(UNet, channels=8, multipliers=(1, 2), num_blocks=1, attention=(4,)), solver=Euler(2)
    ),
    "vae": lambda: VAE(SPEC, latent_dim=4),
    "hierarchical": lambda: HierarchicalVAE(
        SPEC,
        partial(LadderEncoder, channels=(8, 8)),
        partial(LadderDecoder, channels=(8, 8), latent_channels=2),
    ),
    "gan": lambda: GAN(
        SPEC,
        partial(DCGANGenerator, channels=(8, 8)),
        partial(DCGANCritic, channels=(8, 8), spectral=True),
        AdversarialObjective(regularisers=[R1()]),
    ),
    "vqvae": lambda: VQVAE(SPEC, quantiser=VectorQuantiser(4, 8), **ENDS),
    "residual": lambda: VQVAE(
        SPEC, quantiser=ResidualQuantiser([VectorQuantiser(4, 8) for _ in range(2)]), **ENDS
    ),
    "finite scalar": lambda: VQVAE(SPEC, quantiser=FiniteScalar([4, 4, 4, 4]), **ENDS),
    "lookup-free": lambda: VQVAE(SPEC, quantiser=LookupFree(4), **ENDS),
    "hierarchical vq": lambda: VQVAE(
        SPEC, quantiser=HierarchicalQuantiser([VectorQuantiser(4, 8) for _ in range(2)], 8), **ENDS
    ),
    "vqgan": lambda: VQGAN(
        SPEC, quantiser=VectorQuantiser(4, 8), critic=partial(PatchCritic, channels=[8]), **ENDS
    ),
    "autoregressive": lambda: Autoregressive(SPEC, partial(TokenTransformer, depth=1, width=16, num_heads=2)),
    "wgan": lambda: GAN(
        SPEC,
        partial(SNGANGenerator, channels=(8, 8)),
        partial(SNGANCritic, channels=(8,), num_flat=1),
        AdversarialObjective(Wasserstein(), [GradientPenalty()]),
    ),
}


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_never_in_half_precision(family, precision):
    torch.manual_seed(0)
    model = FAMILIES[family]()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=2,
        precision=precision,
        limit_val_batches=1,
        val_check_interval=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, Digits(batch_size=8, limit=16))
    full = torch.float64 if precision == "64-true" else torch.float32
    losses = {name: value for name, value in trainer.callback_metrics.items() if "loss" in name}
    assert {"train", "val"} == {name.split("/")[0] for name in losses}
    assert all(value.isfinite() and value.dtype == full for value in losses.values())
    assert next(model.parameters()).dtype == {"bf16-true": torch.bfloat16}.get(precision, full)
    x = next(Digits().batches("val", batch_size=3))["image"]
    again = model.reconstruct(x) if isinstance(model, CanReconstruct) else x
    assert again.shape == x.shape
    assert again.isfinite().all()
    if isinstance(model, CanSample):
        assert model.sample(3, rng=RandomStreams(0, 3)).isfinite().all()
    if isinstance(model, CanTokenize):
        assert torch.equal(model.reconstruct(x), model.detokenize(model.tokenize(x)))
