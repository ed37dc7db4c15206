"""Parts that do not fit each other are refused when the config is read: one line, status 2, and no data are read."""

from pathlib import Path
from typing import Any

import pytest
import torch

from genlab.data.base import GenerativeDataModule
from genlab.experiments.checkpoint_io import read_checkpoint
from tests import tiny
from tests.run_folders import make_checkpoint, make_run

VP = ["--model.path=LinearBetaPath", "--model.prediction=VPrediction"]
SINGULAR = [*VP, "--model.path.t_min=0"]
COUPLED = ["--model.objective=Denoising", "--model.objective.coupling=OptimalCoupling"]
GIVEN = ["--model.solver=Heun", "--model.solver.num_steps=2", "--model.solver.grid=GivenGrid"]
PLANE = [
    "--data=Synthetic",
    "--data.density=EightGaussians",
    "--data.limit=null",
    "--model.network=genlab.networks.MLP",
]
CONSISTENCY = [
    "--model.objective=ConsistencyTraining",
    "--model.objective.levels=Discretisation",
    "--model.objective.levels.total=10",
    "--model.path=EDMPath",
    "--model.prediction=EDMPrediction",
    "--model.solver=MultistepConsistency",
]
FAULTS = {
    "a prediction that can't be inverted": [
        (["--model.prediction=NoisePrediction"], "got 'NoisePrediction on LinearPath(t_max=1.0)'"),
        (["--model.prediction=DataPrediction"], "got 'DataPrediction on LinearPath(t_min=0.0)'"),
        (["--model.prediction=ScorePrediction"], "got 'ScorePrediction on LinearPath(t_min=0.0)'"),
        (["--model.prediction=EDMPrediction"], "expected one whose network has a finite time at both ends"),
    ],
    "an evaluation at a singular endpoint": [
        (["--model.solver=EulerMaruyama"], "expected a path whose drift is finite at t_max"),
        (["--model.solver=PredictorCorrector"], "expected a path whose drift is finite at t_max"),
        ([*SINGULAR, "--model.solver=DormandPrince"], "expected a path with finite derivatives at both"),
        ([*SINGULAR, "--model.likelihood.solver=Heun"], "expected a path with finite derivatives at both"),
        ([*SINGULAR, "--model.likelihood.num_probes=2"], "got 'DormandPrince on LinearBetaPath(t_min=0.0"),
        (["--model.objective=ImplicitScoreMatching"], "ImplicitScoreMatching on LinearPath(t_min=0.0)"),
        (["--model.path=StochasticInterpolant", "--model.path.t_max=1"], "expected 0 < t_min and t_max < 1"),
    ],
    "a weighting of errors where there are none": [
        (
            [f"--model.objective={name}", "--model.objective.weighting=LearnedUncertainty"],
            "weighting: got 'LearnedUncertainty', expected one that is a factor of time",
        )
        for name in ("ImplicitScoreMatching", "SlicedScoreMatching")
    ],
    "numbers that are none, or have no end": [
        (["--model.guidance_scale=.nan"], "guidance_scale: got nan, expected a number"),
        (["--model.optimizer.lr=.nan"], "lr: got nan, expected a number"),
        (["--model.guidance_scale=.inf"], "scale: got inf, expected a finite number"),
        (["--model.path=EDMPath", "--model.path.sigma_max=.inf"], "expected 0 < sigma_min < sigma_max"),
        ([*CONSISTENCY, "--model.objective.levels.rho=0"], "rho: got 0.0, expected a number of at least 1"),
        ([*CONSISTENCY, "--model.objective.levels.mean=.inf"], "mean: got inf, expected a finite number"),
        (
            ["--model.solver=PredictorCorrector", "--model.solver.snr=1"],
            "snr: got 1.0, expected a number in (0, 1)",
        ),
    ],
    "a score that there is not": [
        ([*COUPLED, "--model.solver=Ancestral"], "solver: got 'Ancestral', expected one without noise"),
        (
            [*COUPLED, "--model.solver=DDIM", "--model.solver.eta=1"],
            "solver: got 'DDIM', expected one withou",
        ),
        ([*COUPLED, "--model.solver=DPMSolverPPSDE"], "or train with IndependentCoupling"),
    ],
    "a likelihood of a solver that has none": [
        (["--model.likelihood.solver=genlab.solvers.DDIM"], "not correspond to a subclass of FlowSolver"),
        (["--model.likelihood.solver=Ancestral"], "it is a class of another kind than is asked for here"),
        ([*CONSISTENCY, "--model.likelihood.num_probes=2"], "likelihood: got 'ConsistencyTraining'"),
    ],
    "guidance of an unconditional model": [
        (["--model.guidance_scale=2", "--model.network.conditional=false"], "guidance_scale: got 2.0"),
        (["--model.guidance_scale=2", "--model.label_dropout=0"], "set it to 1, or label_dropout to 0.1"),
        ([*PLANE, "--model.guidance_scale=2"], "guidance_scale: got 2.0, expected 1"),
    ],
    "an image size that can't be halved": [
        (["--model.network.multipliers=[1,2,2,2,2]"], "expected 1 to 4 for images of 8x8"),
        (["--data=MNIST", "--model.network.multipliers=[1,2,2,2]"], "expected 1 to 3 for images of 28x28"),
        (["--model.network=DiT", "--model.network.patch_size=3"], "patch_size: got 3, expected a divisor"),
    ],
    "a size of nothing": [
        (["--model.network.num_blocks=0"], "num_blocks: got 0, expected at least 1"),
        (["--model.network.channels=0"], "channels: got 0, expected at least 1"),
        (["--model.network=DiT", "--model.network.depth=0"], "depth: got 0, expected at least 1"),
        (["--model.network=DiT", "--model.network.width=0"], "width: got 0, expected at least 1"),
        (["--model.network=EDM2UNet", "--model.network.channels=0"], "channels: got 0, expected at least 1"),
    ],
    "counts of steps": [
        (["--model.solver.num_steps=0"], "num_steps: got 0, expected a positive number of steps"),
        (["--model.solver.num_steps=-3"], "num_steps: got -3"),
        ([*VP, "--model.objective=LearnedVariance", "--model.objective.num_steps=0"], "expected at least 2"),
        ([*VP, "--model.solver=Ancestral", "--model.solver.num_steps=2000"], "at most 1000 down to t_min"),
        (["--model.schedule.total=0"], "total: got 0.0, expected a positive length"),
        (["--trainer.max_steps=0"], "trainer.max_steps: got 0, expected a positive number"),
        (["--trainer.max_steps=-5"], "trainer.max_steps: got -5, expected a positive number"),
        (["--trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches: got 0"),
        (["--trainer.val_check_interval=0"], "trainer.val_check_interval: got 0"),
        (["--posthoc_ema.every_n_steps=-1"], "posthoc_ema.every_n_steps: got -1"),
    ],
    "a grid outside [0, 1]": [
        ([*GIVEN, "--model.solver.grid.times=[1.2,0.5,0]"], "times: got [1.2, 0.5, 0.0]"),
        ([*GIVEN, "--model.solver.grid.times=[1,0.5,-0.1]"], "times: got [1.0, 0.5, -0.1]"),
        ([*GIVEN, "--model.solver.grid.times=[0.5,1,0]"], "times that fall from at most 1 to 0"),
        ([*GIVEN, *VP, "--model.solver.grid.times=[1,0.00001,0]"], "none in (0, 0.001)"),
        ([*GIVEN, "--model.solver.grid.times=[0.3,0.1,0]"], "since walks begin with noise alone"),
        (["--model.path=LinearPath", "--model.path.t_max=1.5"], "t_min, t_max: got (0.0, 1.5)"),
        (["--model.path=LinearPath", "--model.path.t_min=-0.1"], "t_min, t_max: got (-0.1, 1.0)"),
    ],
}
ROWS = [
    pytest.param(words, says, id=f"{kind} {i}")
    for kind in FAULTS
    for i, (words, says) in enumerate(FAULTS[kind])
]


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading data fails."""

    def source(*_: object) -> None:
        raise AssertionError("data were read")

    monkeypatch.setattr(GenerativeDataModule, "source", source)


def refused(lightning: Any, *words: object) -> str:
    found = lightning(*words)
    assert found.status == 2, found
    assert "Traceback" not in found.err
    return found.error


@pytest.mark.parametrize(("words", "says"), ROWS)
def test_fit(words: list[str], says: str, lightning: Any, tmp_path: Path):
    config = tiny.write(tmp_path / "diffusion.yaml", tiny.config("diffusion", max_steps=2))
    assert says in refused(lightning, "fit", "--config", config, "--run.root", tmp_path, *words)


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (3e38, "first_stage: got 'latents that are not finite', expected a first stage that has learned"),
        (torch.inf, "that is not finite', expected a model of finite weights"),
    ],
)
def test_a_first_stage_whose_latents_are_not_finite(weight: float, says: str, lightning: Any, tmp_path: Path):
    run = make_checkpoint(make_run(tmp_path / "vae" / "1"), "vae")
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = read_checkpoint(path)
    for name, x in checkpoint["ema"]["0.9"].items():
        if name.startswith("encoder."):
            x.fill_(weight)
    torch.save(checkpoint, path)
    tree = tiny.config("diffusion")
    stage = {"class_path": "genlab.core.Frozen", "init_args": {"checkpoint": str(run)}}
    prior = {**tree["model"]["init_args"], "network": "genlab.networks.MLP"}
    arguments = {"first_stage": stage, "prior": {**tree["model"], "init_args": prior}}
    tree["model"] = {"class_path": "genlab.families.LatentDiffusion", "init_args": arguments}
    config = tiny.write(tmp_path / "latent.yaml", tree)
    assert says in refused(lightning, "fit", "--config", config, "--run.root", tmp_path)


@pytest.mark.parametrize(
    ("model", "words", "says"),
    [
        ("coupled", ["evaluate", "--solvers", "ancestral"], "solver: got 'Ancestral', expected one without"),
        ("diffusion", ["evaluate", "--solvers", "euler_maruyama"], "a path whose drift is finite at t_max"),
        ("diffusion", ["evaluate", "--solvers", "ddim", "--nfe", "0"], "nfe: got 0, expected at least 1"),
        ("diffusion", ["evaluate", "--solvers", "ddim", "--nfe", "-5"], "nfe: got -5, expected at least 1"),
        (
            "plane",
            ["evaluate", "--guidance-scales", "1,2"],
            "guidance_scale: got 2.0, expected 1 for a model",
        ),
        ("gan", ["evaluate", "--metrics", "bpd"], "GAN has no likelihood; choose among these"),
        ("plane", ["sample", "--label", "3"], "label: got 3, expected none"),
        ("diffusion", ["sample", "--classifier-scale", "2", "--classifier", "vae"], "a classifier of noisy"),
    ],
)
def test_trained_models(model: str, words: list[str], says: str, lightning: Any, tmp_path: Path):
    run = make_checkpoint(make_run(tmp_path / model / "1"), model)
    if "--classifier" in words:
        words = [*words[:-1], str(make_checkpoint(make_run(tmp_path / "vae" / "1"), words[-1]))]
    assert says in refused(lightning, words[0], "--ckpt", run, *words[1:])
