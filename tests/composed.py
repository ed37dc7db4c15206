"""Small complete configs of the families that tests/tiny.py leaves out; a part of some is another run's model."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests import tiny
from tests.families.test_cascade import cascade_config
from tests.families.test_latent_diffusion import latent_config, vae_config

Tree = dict[str, Any]
QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}


def part(path: str, **arguments: Any) -> Tree:
    """A node of a config."""
    return {"class_path": f"genlab.{path}", "init_args": arguments}


CHANNELS = {"channels": [8, 16]}
MAPS = {"channels": [8, 8], "num_blocks": 1, "dropout": 0.1}
LADDER = {"channels": [8, 8], "dropout": 0.1}
TRANSFORMER = part("networks.TokenTransformer", depth=1, width=16, num_heads=2, dropout=0.1)
CODEBOOK = part("networks.VectorQuantiser", dim=4, num_codes=8, dead_below=0.3)
LEVELS = part("networks.HierarchicalQuantiser", quantisers=[CODEBOOK, CODEBOOK], channels=8, dropout=0.1)
QUANTISED = {
    "encoder": part("networks.MapEncoder", **MAPS),
    "quantiser": CODEBOOK,
    "decoder": part("networks.MapDecoder", **MAPS),
}
# A denoising autoencoder with a contractive penalty.
AUTOENCODER = part(
    "families.Autoencoder",
    latent_dim=4,
    objective=part(
        "objectives.Reconstruction",
        corruption="genlab.objectives.GaussianNoise",
        penalties=[part("objectives.Contractive", num_probes=1)],
    ),
)
MODELS: dict[str, Tree] = {
    "classifier": part(
        "families.NoisyClassifier",
        network=part(
            "networks.NoisyEncoder", channels=8, multipliers=[1, 2], num_blocks=1, attention=[], dropout=0.1
        ),
        schedule=tiny.MODELS["diffusion"]["init_args"]["schedule"],
    ),
    "autoregressive": part("families.Autoregressive", network=TRANSFORMER),
    "factor_vae": part(
        "families.FactorVAE",
        encoder=part("networks.ConvEncoder", **CHANNELS),
        decoder=part("networks.ConvDecoder", **CHANNELS),
        critic=part("networks.LatentCritic", width=16, num_layers=2),
        latent_dim=4,
        num_importance_samples=5,
    ),
    "vaegan": part("families.VAEGAN", latent_dim=4, critic=tiny.MODELS["gan"]["init_args"]["critic"]),
    "hierarchical": part(
        "families.HierarchicalVAE",
        encoder=part("networks.LadderEncoder", **LADDER),
        decoder=part(
            "networks.LadderDecoder", **LADDER, num_levels=[1, 1], latent_channels=2, conditional=True
        ),
        objective=part("objectives.LadderELBO", free_bits=0.5, warmup=12),
        num_importance_samples=3,
    ),
    "autoencoder": AUTOENCODER,
    "vqvae": part("families.VQVAE", **QUANTISED),
    "vqgan": part(
        "families.VQGAN",
        **QUANTISED,
        critic=part("networks.PatchCritic", channels=[8], norm="spectral"),
        critic_start=3,
    ),
}
# What models made from another run's model are made from, by family.
FIRST_STAGES: dict[str, Tree] = {
    "density": AUTOENCODER,
    "token_prior": MODELS["vqvae"],
    "coarse_to_fine": part("families.VQVAE", **QUANTISED | {"quantiser": LEVELS}),
}
PRIOR = part("families.Autoregressive", network=TRANSFORMER, label_dropout={"label": 0.1})
PRIORS: dict[str, tuple[str, Tree]] = {
    "density": (
        "LatentDensity",
        part("families.DensityEstimator", density=part("networks.MixtureDensity", num_components=2)),
    ),
    "token_prior": ("TokenPrior", PRIOR),
    "coarse_to_fine": ("TokenPrior", part("families.CoarseToFine", coarse=PRIOR, fine=PRIOR)),
}
FAMILIES = (*MODELS, "latent", "cascade", *PRIORS)


def config(family: str, folder: Path, fit: Callable[[Path], Any], **trainer: Any) -> Tree:
    """A config of one of `FAMILIES` or of `tiny.MODELS`.

    Args:
        family: one of them.
        folder: for the run that it needs.
        fit: trains a config.
        trainer: settings of the trainer.
    """
    if family in tiny.MODELS:
        return tiny.config(family, **trainer)
    if family in MODELS:
        return of_model(MODELS[family], **trainer)
    if family == "cascade":
        return cascade_config(fitted(family, tiny.config("diffusion", max_steps=4), folder, fit), **trainer)
    if family == "latent":
        return latent_config(fitted(family, vae_config(max_steps=6), folder, fit), **trainer)
    first = fitted(family, of_model(FIRST_STAGES[family], max_steps=6), folder, fit)
    name, prior = PRIORS[family]
    stage = part("core.Frozen", checkpoint=str(first))
    tree = of_model(part(f"families.{name}", first_stage=stage, prior=deepcopy(prior)), **trainer)
    return tree | {"data": part("data.Encoded", data=tree["data"], shard_size=100)}


def of_model(model: Tree, **trainer: Any) -> Tree:
    """A complete config of a model on a few digits."""
    return tiny.config("vae", **trainer) | {"model": deepcopy(model)}


def fitted(family: str, tree: Tree, folder: Path, fit: Callable[[Path], Any]) -> Path:
    """The run of a first stage's training."""
    run = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", tree | QUIET | {"run": run})
    fit(path)
    return folder / path.stem / "first"
