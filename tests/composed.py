"""Small complete configs of the families that tests/tiny.py leaves out: of two, a part is another run's model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import tiny
from tests.families.test_cascade import cascade_config
from tests.families.test_latent_diffusion import latent_config, vae_config

QUIET = {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}
ENCODER = {"channels": 8, "multipliers": [1, 2], "num_blocks": 1, "attention": [], "dropout": 0.1}
FAMILIES = ("classifier", "latent", "cascade", "vqvae", "vqgan", "token_prior", "coarse_to_fine")
NARROW = {"channels": [8, 8], "num_blocks": 1, "dropout": 0.1}
NETWORK = {"depth": 1, "width": 16, "num_heads": 2, "dropout": 0.1}


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
    if family in ("vqvae", "vqgan"):
        return quantised(family, **trainer)
    if family in ("token_prior", "coarse_to_fine"):
        return token_prior(family, folder, fit, **trainer)
    latent = family == "latent"
    first = vae_config(max_steps=6) if latent else tiny.config("diffusion", max_steps=4) | QUIET
    first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", first)
    fit(path)
    return (latent_config if latent else cascade_config)(folder / path.stem / "first", **trainer)


def quantised(family: str, num_levels: int = 1, **trainer: Any) -> dict[str, Any]:
    """A config of a VQ-VAE, or of a VQ-GAN, of so many levels."""
    tree = tiny.config("vae", **trainer)
    quantiser = part("networks.VectorQuantiser", dim=4, num_codes=8, dead_below=0.3)
    if num_levels > 1:
        own = [quantiser] * num_levels
        quantiser = part("networks.HierarchicalQuantiser", quantisers=own, channels=8, dropout=0.1)
    arguments = {
        "encoder": part("networks.MapEncoder", **NARROW),
        "quantiser": quantiser,
        "decoder": part("networks.MapDecoder", **NARROW),
    }
    if family == "vqgan":
        arguments |= {
            "critic": part("networks.PatchCritic", channels=[8], norm="spectral"),
            "critic_start": 3,
        }
    tree["model"] = part(f"families.{family.upper()}", **arguments)
    return tree | {"samples": {"every_n_steps": 0}, "metrics": {"every_n_steps": 0}}


def token_prior(family: str, folder: Path, fit: Callable[[Path], Any], **trainer: Any) -> dict[str, Any]:
    """A config of a prior of a VQ-VAE's tokens, of one level or of two, after the first stage's training."""
    levels = 2 if family == "coarse_to_fine" else 1
    first = quantised("vqvae", levels, max_steps=6)
    first["run"] = {"root": str(folder), "id": "first", "wandb": "off"}
    path = tiny.write(folder / f"first_of_{family}.yaml", first)
    fit(path)
    prior = part(
        "families.Autoregressive",
        network=part("networks.TokenTransformer", **NETWORK),
        label_dropout={"label": 0.1},
    )
    if levels > 1:
        prior = part("families.CoarseToFine", coarse=prior, fine=prior)
    tree, frozen = (
        tiny.config("vae", **trainer),
        part("core.Frozen", checkpoint=str(folder / path.stem / "first")),
    )
    tree["model"] = part("families.TokenPrior", first_stage=frozen, prior=prior)
    tree["data"] = part("data.Encoded", data=tree["data"], shard_size=100)
    return tree


def part(path: str, **arguments: Any) -> dict[str, Any]:
    """A node of a config."""
    return {"class_path": f"genlab.{path}", "init_args": arguments}
