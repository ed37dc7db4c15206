"""Small complete configs of the families that tests/tiny.py leaves out: of two, a part is another run's model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import tiny
from tests.families.test_cascade import cascade_config
from tests.families.test_latent_diffusion import latent_config, vae_config

QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}
ENCODER = {"channels": 8, "multipliers": [1, 2], "num_blocks": 1, "attention": [], "dropout": 0.1}
LADDER = {"channels": [8, 8], "dropout": 0.1}
HIERARCHICAL = {
    "encoder": {"class_path": "genlab.networks.LadderEncoder", "init_args": LADDER},
    "decoder": {
        "class_path": "genlab.networks.LadderDecoder",
        "init_args": {**LADDER, "num_levels": [1, 1], "latent_channels": 2, "conditional": True},
    },
    "objective": {
        "class_path": "genlab.objectives.LadderELBO",
        "init_args": {"free_bits": 0.5, "warmup": 12},
    },
    "num_importance_samples": 3,
}
FAMILIES = ("classifier", "latent", "cascade", "hierarchical")


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
    if family == "hierarchical":
        tree = tiny.config("vae", **trainer)
        tree["model"] = {"class_path": "genlab.families.HierarchicalVAE", "init_args": HIERARCHICAL}
        return tree
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
