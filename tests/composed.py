"""Small complete configs of the families that tests/tiny.py leaves out: of two, a part is another run's model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import tiny
from tests.families.test_cascade import cascade_config
from tests.families.test_latent_diffusion import latent_config, vae_config

QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}
ENCODER = {"channels": 8, "multipliers": [1, 2], "num_blocks": 1, "attention": [], "dropout": 0.1}
FAMILIES = ("classifier", "latent", "cascade", "vaegan")


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
    if family == "classifier":
        tree = tiny.config("diffusion", **trainer)
        network = {"class_path": "genlab.networks.NoisyEncoder", "init_args": ENCODER}
        schedule = tree["model"]["init_args"]["schedule"]
        arguments = {"network": network, "schedule": schedule}
        tree["model"] = {"class_path": "genlab.families.NoisyClassifier", "init_args": arguments}
        return tree
    if family == "vaegan":
        tree = tiny.config("vae", **trainer)
        critic = tiny.MODELS["gan"]["init_args"]["critic"]
        tree["model"] = {
            "class_path": "genlab.families.VAEGAN",
            "init_args": {"latent_dim": 4, "critic": critic},
        }
        return tree
    latent = family == "latent"
    first = vae_config(max_steps=6) if latent else tiny.config("diffusion", max_steps=4) | QUIET
    first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", first)
    fit(path)
    return (latent_config if latent else cascade_config)(folder / path.stem / "first", **trainer)
