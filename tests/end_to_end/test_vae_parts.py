"""Every posterior, prior and penalty of a VAE through the command line: trained, resumed exactly, sampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.run_dir import RunDir
from tests import tiny
from tests.end_to_end.test_resume import assert_same


def part(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"genlab.{name}", "init_args": arguments}


MODELS = {
    "householder_vamp_capacity": {
        "posterior": part("networks.HouseholderPosterior", num_reflections=2),
        "prior": part("networks.VampPrior", num_components=3),
        "objective": part("objectives.ELBO", capacity=3.0, warmup=3, penalties=[part("objectives.MMD")]),
    },
    "iaf_flow_iwae": {
        "posterior": part("networks.IAFPosterior", context_dim=4, width=8),
        "prior": part("networks.FlowPrior", num_couplings=2, width=8),
        "objective": part("objectives.IWAE", num_samples=2),
    },
    "penalties": {
        "objective": part(
            "objectives.ELBO",
            penalties=[part("objectives.TotalCorrelation", weight=5.0), part("objectives.DIP", variant="II")],
        ),
    },
    "factor": {"critic": part("networks.LatentCritic", width=8, num_layers=2), "gamma": 5.0},
}


@pytest.mark.parametrize("name", MODELS)
def test_trained_resumed_and_sampled(name: str, tmp_path: Path, lightning: Any):
    tree = tiny.config("vae", max_steps=4, limit_val_batches=1)
    tree["model"]["init_args"] |= MODELS[name]
    if name == "factor":
        tree["model"]["class_path"] = "genlab.families.FactorVAE"
    tree["metrics"]["every_n_steps"] = tree["samples"]["every_n_steps"] = 0
    path = tiny.write(tmp_path / "vae.yaml", tree)
    words = ("fit", "--config", path, "--run.root", tmp_path)
    for more in (
        (*words, "--run.id", "whole"),
        (*words, "--run.id", "parts", "--trainer.max_steps", 2),
        ("fit", "--resume", tmp_path / "vae" / "parts", "--trainer.max_steps", 4),
    ):
        done = lightning(*more)
        assert done.status == 0, done.err
    whole, parts = (read_checkpoint(RunDir(tmp_path / "vae" / run).last) for run in ("whole", "parts"))
    for key in ("global_step", "state_dict", "optimizer_states", "ema"):
        assert_same(whole[key], parts[key], key)

    out = tmp_path / "samples.npz"
    drawn = lightning("sample", "--ckpt", tmp_path / "vae" / "whole", "--num", 3, "--out", out)
    assert drawn.status == 0, drawn.err
    images = np.load(out)["image"]
    assert images.shape == (3, 1, 8, 8)
    assert np.isfinite(images).all()
