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
FAMILIES = ("classifier", "latent", "cascade", *MODELS)


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
    latent = family == "latent"
    first = vae_config(max_steps=6) if latent else tiny.config("diffusion", max_steps=4) | QUIET
    first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", first)
    fit(path)
    return (latent_config if latent else cascade_config)(folder / path.stem / "first", **trainer)
