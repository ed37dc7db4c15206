"""First stages of other data or another codebook, and numbers of first stages and priors: one line, status 2."""

from pathlib import Path
from typing import Any

import pytest
import torch

from genlab.core import DataSpec
from genlab.data.base import GenerativeDataModule
from genlab.experiments.checkpoint_io import AtomicCheckpointIO
from genlab.experiments.loading import build_model
from tests import composed, tiny
from tests.composed import CODEBOOK, LEVELS, MAPS, QUANTISED, TRANSFORMER, Tree, part
from tests.run_folders import make_run

DIGITS = {"shape": [1, 8, 8], "num_levels": 17}
STAGES = {
    "density": composed.AUTOENCODER,
    "latent": composed.AUTOENCODER,
    "token_prior": part("families.VQVAE", **QUANTISED),
}
STAGES["coarse_to_fine"] = part("families.VQVAE", **QUANTISED | {"quantiser": LEVELS})
PRIORS = {
    **composed.PRIORS,
    "latent": ("LatentDiffusion", part("families.Diffusion", network=part("networks.MLP", width=8))),
}


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading data fails."""

    def source(*_: object) -> None:
        raise AssertionError("data were read")

    monkeypatch.setattr(GenerativeDataModule, "source", source)


def first_stage(folder: Path, model: Tree, **image: Any) -> Path:
    """A run with a checkpoint of an untrained model of digits that are otherwise."""
    torch.manual_seed(0)
    spec = {
        "name": "digits",
        "modalities": {"image": {**DIGITS, **image}, "label": {"shape": [], "num_classes": 10}},
    }
    built = build_model(model, DataSpec.of(spec))
    run, state = make_run(folder), built.state_dict()
    about = {"format": 1, "config": {"model": model}, "spec": DataSpec.of(spec).to_dict()}
    about |= {"provenance": {"genlab": "0.1.0", "commit": "0123456789ab"}}
    ema = {"0.9": {k: v for k, v in state.items() if v.is_floating_point()}}
    checkpoint = {"state_dict": state, "ema": ema, "genlab": about, "global_step": 7}
    AtomicCheckpointIO().save_checkpoint(checkpoint, run / "checkpoints" / "last.ckpt")
    return run


def prior(family: str, stage: Path) -> Tree:
    name, own = PRIORS[family]
    return part(f"families.{name}", first_stage=part("core.Frozen", checkpoint=str(stage)), prior=own)


def refused(lightning: Any, folder: Path, model: Tree, *words: object) -> str:
    config = tiny.write(folder / "config.yaml", composed.of_model(model, max_steps=2))
    found = lightning("fit", "--config", config, "--run.root", folder, *words)
    assert found.status == 2, found
    assert "Traceback" not in found.err
    return found.error


@pytest.mark.parametrize("family", STAGES)
@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"shape": [1, 16, 16]}, "digits (1, 16, 16) with 17 levels"),
        ({"shape": [3, 8, 8]}, "digits (3, 8, 8) with 17 levels"),
        ({"num_levels": 256}, "digits (1, 8, 8) with 256 levels"),
    ],
)
def test_a_first_stage_of_other_data(family: str, image: Tree, words: str, lightning: Any, tmp_path: Path):
    stage = first_stage(tmp_path / "stage" / "1", STAGES[family], **image)
    says = f"first_stage: got 'a model of {words}', expected one of digits (1, 8, 8) with 17 levels"
    assert says in refused(lightning, tmp_path, prior(family, stage))


NUMBERS = {
    "num_heads: got 0": part(
        "families.Autoregressive", network=part("networks.TokenTransformer", num_heads=0)
    ),
    "width: got 0": part("families.Autoregressive", network=part("networks.TokenTransformer", width=0)),
    "depth: got 0": part("families.Autoregressive", network=part("networks.TokenTransformer", depth=0)),
    "mlp_ratio: got -1.0": part(
        "families.Autoregressive", network=part("networks.TokenTransformer", mlp_ratio=-1.0)
    ),
    "channels: got 0": part("families.Autoregressive", network=part("networks.GatedPixelCNN", channels=0)),
    "channels: got [0, 8]": part(
        "families.VQVAE",
        **QUANTISED | {"encoder": part("networks.MapEncoder", **MAPS | {"channels": [0, 8]})},
    ),
    "num_blocks: got -1": part(
        "families.VQVAE", **QUANTISED | {"encoder": part("networks.MapEncoder", **MAPS | {"num_blocks": -1})}
    ),
    "decoder: got 'one of maps (2, 2)'": part(
        "families.VQVAE",
        **QUANTISED | {"decoder": part("networks.MapDecoder", **MAPS | {"channels": [8, 8, 8]})},
    ),
    "quantiser: got '1,099,511,627,776 codes'": part(
        "families.VQVAE", **QUANTISED | {"quantiser": part("networks.LookupFree", dim=40)}
    ),
    "perceptual: got 'images (1, 8, 8)'": part(
        "families.VQVAE",
        **QUANTISED,
        objective=part("objectives.QuantisedReconstruction", perceptual=part("objectives.LPIPS")),
    ),
    "posterior: got 'PushForward'": part(
        "families.VAE",
        posterior=part("networks.IAFPosterior"),
        objective=part("objectives.ELBO", penalties=[part("objectives.TotalCorrelation")]),
    ),
    "activation: got 'codes from": part(
        "families.Autoencoder",
        objective=part("objectives.Reconstruction", penalties=[part("objectives.KLSparsity")]),
    ),
}


@pytest.mark.parametrize("says", NUMBERS)
def test_a_model_that_cannot_work(says: str, lightning: Any, tmp_path: Path):
    assert says in refused(lightning, tmp_path, NUMBERS[says])


def test_levels_of_a_prior_with_an_optimiser_of_their_own(lightning: Any, tmp_path: Path):
    stage = first_stage(tmp_path / "stage" / "1", STAGES["coarse_to_fine"])
    own = part("families.Autoregressive", network=TRANSFORMER, optimizer={"class_path": "torch.optim.SGD"})
    model = prior("coarse_to_fine", stage)
    model["init_args"]["prior"] = part("families.CoarseToFine", coarse=own, fine=own)
    assert "coarse.optimizer: got 'SGD'" in refused(lightning, tmp_path, model)


def test_coarse_to_fine_on_a_first_stage_of_one_level(lightning: Any, tmp_path: Path):
    stage = first_stage(tmp_path / "stage" / "1", STAGES["token_prior"])
    assert "expected tokens of several grids" in refused(lightning, tmp_path, prior("coarse_to_fine", stage))


def test_a_run_that_goes_on_with_another_codebook(lightning: Any, tmp_path: Path):
    other = {"quantiser": CODEBOOK | {"init_args": CODEBOOK["init_args"] | {"num_codes": 9}}}
    stages = {8: STAGES["token_prior"], 9: part("families.VQVAE", **QUANTISED | other)}
    runs = {codes: first_stage(tmp_path / f"stage{codes}" / "1", model) for codes, model in stages.items()}
    whole = torch.load(runs[8] / "checkpoints" / "last.ckpt", weights_only=True)
    state = {f"first_stage.model.{name}": x for name, x in whole["state_dict"].items()}
    lightnings = {"epoch": 0, "pytorch-lightning_version": "2.0.0"}
    about = {**whole["genlab"], "config": {"model": prior("token_prior", runs[8])}}
    checkpoint = {"state_dict": state, "genlab": about, "global_step": 1, **lightnings}
    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "began.ckpt")
    words = ["--ckpt_path", tmp_path / "began.ckpt"]
    says = refused(lightning, tmp_path, prior("token_prior", runs[9]), *words)
    assert "quantiser.codebook (9, 4)', expected (8, 4) as in the checkpoint" in says
