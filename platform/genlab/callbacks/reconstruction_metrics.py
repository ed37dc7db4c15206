"""How near reconstructions are to their originals, in the middle of training."""

import torch
from lightning.pytorch import LightningModule, Trainer

from genlab.callbacks.inference import inference
from genlab.core import CanDenoise, CanReconstruct, DataSpec, RandomStreams, require
from genlab.metrics.reconstruction import DENOISING, RECONSTRUCTION, RECONSTRUCTION_SCORES

SLOW = ("lpips",)  # computed only where asked for


def choose_reconstruction(metrics: str | list[str], pl_module: LightningModule) -> list[str]:
    """Those of the metrics that are of reconstructions; of "auto", all but the slow ones that can be had.

    Under "auto", a model on a frozen first stage has none, since training leaves its reconstructions as they are.

    Raises:
        UserError: one is asked for that can't be had.
    """
    spec, name = getattr(pl_module, "spec", None), type(pl_module).__name__
    images = isinstance(spec, DataSpec) and spec.data == "image"
    able = images and isinstance(pl_module, CanReconstruct)
    lacks = {
        metric: RECONSTRUCTION[metric].missing(spec["image"])
        if able
        else f"needs images that {name} reconstructs"
        for metric in RECONSTRUCTION
    }
    denoises = able and isinstance(pl_module, CanDenoise) and pl_module.can_denoise
    lacks[DENOISING] = "" if denoises else f"needs images that {name} restores"
    if metrics == "auto":
        frozen = getattr(pl_module, "first_stage", None) is not None
        return [metric for metric in lacks if not lacks[metric] and metric not in SLOW and not frozen]
    asked = [metric for metric in metrics if metric in lacks]
    have = ", ".join(metric for metric in lacks if not lacks[metric]) or "metrics of samples"
    for metric in asked:
        require(not lacks[metric], "metrics.metrics", metric, have, f"{metric} {lacks[metric]}")
    return asked


def reconstruction_scores(
    trainer: Trainer,
    pl_module: LightningModule,
    names: list[str],
    split: str,
    num: int,
    batch_size: int,
    seed: int,
) -> dict[str, float]:
    """The scores of now of a split's first `num` images, equal on all ranks; each rank reconstructs all of them."""
    values: dict[str, list[torch.Tensor]] = {
        score: [] for name in names for score in RECONSTRUCTION_SCORES[name]
    }
    with inference(trainer, pl_module):
        batches = trainer.datamodule.batches(split, batch_size=batch_size, num=num)
        for number, batch in enumerate(batches):
            x = batch["image"].to(pl_module.device)
            made = {"": pl_module.reconstruct(x).float()}
            if DENOISING in names:
                first = number * batch_size
                rng = RandomStreams(seed, range(first, first + len(x)), pl_module.device)
                made["denoised_"] = pl_module.denoise(pl_module.corrupt(x, rng)).float()
            if not all(y.isfinite().all() for y in made.values()):
                return {}  # a training that went astray says so by its losses
            for score, parts in values.items():
                name = score.removeprefix("denoised_")
                if not RECONSTRUCTION[name].missing(pl_module.spec["image"]):
                    y = made["denoised_" if score != name else ""]
                    parts.append(RECONSTRUCTION[name].per_image(y, x).cpu())
    means = {score: float(torch.cat(parts).double().mean()) for score, parts in values.items() if parts}
    return {
        score: RECONSTRUCTION[score.removeprefix("denoised_")].finish(mean) for score, mean in means.items()
    }
