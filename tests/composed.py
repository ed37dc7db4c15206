"""Small complete configs of the families that tests/tiny.py leaves out: of two, a part is another run's model."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests import tiny
from tests.families.test_cascade import cascade_config
from tests.families.test_latent_diffusion import latent_config, vae_config

QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}
ENCODER = {"channels": 8, "multipliers": [1, 2], "num_blocks": 1, "attention": [], "dropout": 0.1}
CHANNELS = {"channels": [8, 16]}
MODELS: dict[str, dict[str, Any]] = {
    "autoregressive": {
        "class_path": "genlab.families.Autoregressive",
        "init_args": {
            "network": {
                "class_path": "genlab.networks.TokenTransformer",
                "init_args": {"depth": 2, "width": 16, "num_heads": 2, "dropout": 0.1},
            },
        },
    },
    "factor_vae": {
        "class_path": "genlab.families.FactorVAE",
        "init_args": {
            "encoder": {"class_path": "genlab.networks.ConvEncoder", "init_args": CHANNELS},
            "decoder": {"class_path": "genlab.networks.ConvDecoder", "init_args": CHANNELS},
            "critic": {
                "class_path": "genlab.networks.LatentCritic",
                "init_args": {"width": 16, "num_layers": 2},
            },
            "latent_dim": 4,
            "num_importance_samples": 5,
        },
    },
}
FAMILIES = ("classifier", "latent", "cascade", "autoencoder", "density", *MODELS)


def config(family: str, folder: Path, fit: Callable[[Path], Any], **trainer: Any) -> dict[str, Any]:
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
        return tiny.config("vae", **trainer) | {"model": deepcopy(MODELS[family])}
    if family == "classifier":
        tree = tiny.config("diffusion", **trainer)
        network = {"class_path": "genlab.networks.NoisyEncoder", "init_args": ENCODER}
        schedule = tree["model"]["init_args"]["schedule"]
        arguments = {"network": network, "schedule": schedule}
        tree["model"] = {"class_path": "genlab.families.NoisyClassifier", "init_args": arguments}
        return tree
    if family in ("autoencoder", "density"):
        tree = autoencoder_config(**trainer)
        if family == "autoencoder":
            return tree
        first = autoencoder_config(max_steps=4) | QUIET
        first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
        path = tiny.write(folder / "first_of_density.yaml", first)
        fit(path)
        return density_config(folder / path.stem / "first", **trainer)
    latent = family == "latent"
    first = vae_config(max_steps=6) if latent else tiny.config("diffusion", max_steps=4) | QUIET
    first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", first)
    fit(path)
    return (latent_config if latent else cascade_config)(folder / path.stem / "first", **trainer)


def autoencoder_config(**trainer: Any) -> dict[str, Any]:
    """A denoising autoencoder with a contractive penalty."""
    tree = tiny.config("vae", **trainer)
    penalty = {"class_path": "genlab.objectives.Contractive", "init_args": {"num_probes": 1}}
    parts = {"corruption": "genlab.objectives.GaussianNoise", "penalties": [penalty]}
    objective = {"class_path": "genlab.objectives.Reconstruction", "init_args": parts}
    arguments = {"latent_dim": 4, "objective": objective}
    tree["model"] = {"class_path": "genlab.families.Autoencoder", "init_args": arguments}
    return tree


def density_config(checkpoint: Path, **trainer: Any) -> dict[str, Any]:
    """A mixture of a first stage's latents, two components a class."""
    tree = tiny.config("vae", **trainer)
    frozen = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(checkpoint)}}
    mixture = {"class_path": "genlab.networks.MixtureDensity", "init_args": {"num_components": 2}}
    prior = {"class_path": "genlab.families.DensityEstimator", "init_args": {"density": mixture}}
    arguments = {"first_stage": frozen, "prior": prior}
    tree["model"] = {"class_path": "genlab.families.LatentDensity", "init_args": arguments}
    tree["data"] = {"class_path": "genlab.data.Encoded", "init_args": {"data": tree["data"]}}
    return tree
