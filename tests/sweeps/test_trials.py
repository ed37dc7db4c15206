"""Trials that are fits: what LightningCLI gets, stopping early, dying with the agent, W&B's way of asking."""

import json
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from genlab.cli.sweep_checks import check_config, check_sweep
from genlab.core import UserError
from genlab.experiments.differences import flatten
from genlab.experiments.run_dir import RunDir
from genlab.experiments.sweeps import trial as sweep_trial
from genlab.experiments.sweeps.agent import STATES
from genlab.experiments.sweeps.asked import lookup, same
from genlab.experiments.sweeps.desk import Desk
from genlab.experiments.sweeps.fit_process import FitProcess, best_value, outcome
from genlab.experiments.sweeps.lease import born
from genlab.experiments.sweeps.schema import read_sweep
from genlab.experiments.sweeps.summary import summarise
from tests import tiny
from tests.sweeps.test_files import FILES

ADAM = "model.init_args.optimizer"
PARAMETERS: dict[str, Any] = {
    f"{ADAM}.init_args.lr": {"distribution": "log_uniform_values", "min": 1e-6, "max": 1e-2},
    f"{ADAM}.init_args.betas": {"values": [[0.5, 0.9]]},
    f"{ADAM}.init_args.amsgrad": {"values": [True]},
    "model.init_args.schedule": {"value": None},
    "model.init_args.latent_dim": {"distribution": "q_uniform", "min": 2, "max": 6, "q": 2},
    "model.init_args.likelihood": {"value": "genlab.probability.BetaBinomial"},
    "ema.decays": {"values": [[0.9, 0.99]]},
    "seed_everything": {"min": 1, "max": 5},
    "run.tags": {"value": ["a", "null", "1e3"]},
}


def write(folder: Path, **changes: Any) -> Path:
    """A small config, and a sweep over it."""
    tree = tiny.config("vae", max_steps=8, val_check_interval=2)
    tree["model"]["init_args"]["optimizer"] = {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}}
    tree["metrics"]["every_n_steps"] = tree["samples"]["every_n_steps"] = 0
    config = tiny.write(folder / "vae.yaml", tree)
    file = {
        "name": "small",
        "program": "lightning",
        "command": ["${env}", "${program}", "fit", "--config", str(config), "${args}"],
        "method": "random",
        "metric": {"name": "val/bpd"},
        "parameters": PARAMETERS,
        **changes,
    }
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return path


def test_every_config_is_what_was_asked(tmp_path: Path, lightning: Any):
    file, runs = write(tmp_path), tmp_path / "runs"
    words = ("sweep", file, "--root", runs, "--count", 2, "--agents", 2)
    found = lightning(*words)
    assert found.status == 0, found.err
    trials = summarise(runs / "small").trials
    assert [trial.state for trial in trials] == ["complete"] * 2
    assert trials[0].values != trials[1].values
    for trial in trials:
        assert list(trial.values) == list(PARAMETERS)
        run = RunDir(runs / "small" / trial.name)
        config = yaml.safe_load(run.config.read_text())
        for name, asked in trial.values.items():
            value = lookup(config, name)
            assert same(value, asked), name
            assert isinstance(value, dict) or type(value) is type(asked), name
        rest = {
            k for k in flatten(config) if not k.startswith(tuple(PARAMETERS)) and not k.startswith("run.")
        }
        before = flatten(yaml.safe_load((tmp_path / "vae.yaml").read_text()))
        assert all(flatten(config)[k] == before[k] for k in rest & before.keys())
        assert trial.value == best_value(run, read_sweep(file))
    assert f"best: {runs / 'small' / trials[0].name}, val/bpd" in found.out.replace("\n", "")
    page = (runs / "small" / "report.html").read_text()
    for part in ("Sweep small", "Parallel coordinates", "What explains val/bpd", "<polyline"):
        assert part in page


def fit_of(tmp_path: Path, **changes: Any) -> tuple[Desk, FitProcess]:
    sweep = read_sweep(write(tmp_path, **changes))
    root = tmp_path / "runs" / sweep.name
    return Desk(root, sweep, 8), FitProcess(root, sweep)


def run_in_this_process(
    desk: Desk, fit: FitProcess, lightning: Any, monkeypatch: pytest.MonkeyPatch
) -> RunDir:
    """Take a trial and run it as its agent's process would."""
    held = desk.take()
    assert held
    environment = sweep_trial.environment(desk.root, held.number, os.getppid())
    with monkeypatch.context() as patch:
        patch.setattr(sweep_trial, "die_with_parent", lambda expected: None)
        for key, text in environment.items():
            patch.setenv(key, text)
        found = lightning(*fit.words(held))
    assert found.status == 0, found.err
    run = RunDir(desk.root / held.name)
    end = outcome(0, run, desk.sweep)
    assert desk.tell(held, STATES[end.state], end.value, end.reason)
    return run


def test_a_trial_that_is_behind_is_stopped(tmp_path: Path, lightning: Any, monkeypatch: pytest.MonkeyPatch):
    early = {"type": "hyperband", "min_iter": 2, "max_iter": 4, "eta": 4}  # one bracket, one cut
    lr = {f"{ADAM}.init_args.lr": {"values": [1e-3, 1e-7]}}
    desk, fit = fit_of(tmp_path, early_terminate=early, method="grid", parameters=lr)
    good, bad = (run_in_this_process(desk, fit, lightning, monkeypatch) for _ in range(2))
    first, second = desk.trials()
    assert list(first.intermediate_values) == [1, 2, 3, 4]
    assert list(second.intermediate_values) == [1, 2]
    assert [good.read_meta()["state"], bad.read_meta()["state"]] == ["done", "pruned"]
    assert bad.read_meta()["reason"] == "stopped early by the sweep after 2 rows of val/bpd"
    assert bad.read_meta()["step"] < 8 == good.read_meta()["step"]
    assert second.state.name == "PRUNED"
    assert [trial.state for trial in summarise(desk.root).trials] == ["complete", "pruned"]
    assert first.intermediate_values[4] == pytest.approx(first.value)


@pytest.mark.slow
def test_two_ranks_are_one_trial(tmp_path: Path, lightning: Any):
    """Both have the trial's config, the metric is reported once a row, and both stop where the pruner says so."""
    early = {"type": "hyperband", "min_iter": 2, "max_iter": 4, "eta": 4}
    lr = {f"{ADAM}.init_args.lr": {"values": [1e-3, 1e-7]}}
    ranks = {"trainer.devices": {"value": 2}, "trainer.strategy": {"value": "ddp"}}
    file = write(tmp_path, early_terminate=early, method="grid", parameters={**lr, **ranks})
    found = lightning("sweep", file, "--root", tmp_path / "runs")
    assert found.status == 0, found.err
    root = tmp_path / "runs" / "small"
    trials = Desk(root, read_sweep(file), 2).trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED"]
    assert [list(trial.intermediate_values) for trial in trials] == [[1, 2, 3, 4], [1, 2]]
    config = yaml.safe_load(RunDir(root / "trial-0000").config.read_text())
    assert config["trainer"]["devices"] == "2"


def test_a_number_that_the_config_keeps_as_text(tmp_path: Path):
    check_sweep(read_sweep(write(tmp_path, parameters={"trainer.devices": {"value": 2}})))


def wait_for(what: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_a_trial_dies_with_its_agent_and_is_continued(tmp_path: Path):
    """SIGKILL to the agent alone: its fit is gone at once, and the next agent goes on from the checkpoint."""
    parameters = {"model.init_args.latent_dim": {"value": 3}, "trainer.max_steps": {"values": [100_000]}}
    file = write(tmp_path, method="grid", parameters=parameters)
    words = ["sweep", str(file), "--root", str(tmp_path / "runs"), "--agent", "agent"]
    command = [sys.executable, "-m", "genlab", *words]
    run = RunDir(tmp_path / "runs" / "small" / "trial-0000")
    agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    wait_for(run.last.is_file)
    pid = run.read_meta()["pid"]
    assert born(pid)
    agent.kill()
    agent.wait()
    wait_for(lambda: not born(pid), 5)
    second = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: run.read_meta()["pid"] != pid)
    wait_for(lambda: "step" in run.read_meta() and run.read_meta()["state"] == "running")
    second.send_signal(signal.SIGTERM)  # stopped kindly, it saves and leaves the trial for another time
    said = second.communicate(timeout=60)[1]
    assert second.returncode == 130
    assert "trial-0000: taken again, its agent is gone" in said
    assert "trial-0000: left for later" in said
    assert run.read_meta()["state"] == "stopped"
    desk = Desk(tmp_path / "runs" / "small", read_sweep(file), 1)
    assert [trial.state.name for trial in desk.trials()] == ["RUNNING"]
    assert desk.take()


def test_ranks_share_the_agents_cores(monkeypatch: pytest.MonkeyPatch):
    trainer = Namespace(devices="2", accelerator="cpu")
    monkeypatch.setattr(torch, "set_num_threads", lambda each: monkeypatch.setenv("TOLD", str(each)))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    sweep_trial.share_threads(trainer)
    assert os.environ["OMP_NUM_THREADS"] == "8"  # no trial
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    sweep_trial.share_threads(trainer)
    assert os.environ["OMP_NUM_THREADS"] == os.environ["TOLD"] == "4"
    monkeypatch.setenv("LOCAL_RANK", "1")  # started by the first, which has divided them
    sweep_trial.share_threads(trainer)
    assert os.environ["OMP_NUM_THREADS"] == "4"


def test_a_trial_takes_the_allocations_accelerator(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    monkeypatch.setenv(sweep_trial.ACCELERATOR, "gpu")
    assert "--trainer.accelerator=gpu" in sweep_trial.adapt(["--config", "a.yaml"])
    asked = ["--config", "a.yaml", "--trainer.accelerator=cpu"]
    assert "--trainer.accelerator=gpu" not in sweep_trial.adapt(asked)


@pytest.fixture
def fresh_wandb() -> Iterator[None]:
    """W&B reads the environment once in a process: before, it must forget it, and after."""
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.mark.usefixtures("fresh_wandb")
def test_wandb_agents_spelling(tmp_path: Path, lightning: Any, monkeypatch: pytest.MonkeyPatch):
    """What W&B's agent would start, offline: its flags, its file of parameters, its run id."""
    asked = {
        "model.init_args.schedule": None,
        "model.init_args.latent_dim": 3,
        f"{ADAM}.init_args.amsgrad": True,
    }
    asked |= {"ema.decays": [0.9, 0.99], f"{ADAM}.init_args.lr": 1e-05, "run.wandb": "offline"}
    write(tmp_path)
    parameters = {"wandb_version": 1, **{key: {"value": value} for key, value in asked.items()}}
    (tmp_path / "parameters.yaml").write_text(yaml.safe_dump(parameters))
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    monkeypatch.setenv("WANDB_RUN_ID", "k2j3h4g5")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "parameters.yaml"))
    monkeypatch.setenv(sweep_trial.ROOT, str(tmp_path / "runs" / "small"))
    flags = create_sweep_command_args({"args": {key: {"value": value} for key, value in asked.items()}})[
        "args"
    ]
    found = lightning("fit", "--config", tmp_path / "vae.yaml", *flags)
    assert found.status == 0, found.err
    run = RunDir(tmp_path / "runs" / "small" / "k2j3h4g5")
    config = yaml.safe_load(run.config.read_text())
    check_config(config, asked)
    assert run.read_meta()["wandb"] == "k2j3h4g5"
    logged = next(run.root.glob("wandb/offline-run-*-k2j3h4g5/*.wandb"))
    clean = {key: text for key, text in os.environ.items() if not key.startswith("WANDB")}
    command = [sys.executable, "-m", "wandb", "leet", "inspect", logged, "--json"]
    lines = subprocess.run(command, capture_output=True, text=True, env=clean, check=True).stdout.splitlines()
    shown = next(
        record["run"]["config"]["update"] for record in map(json.loads, lines) if record["type"] == "run"
    )
    assert {key: shown[key] for key in asked} == asked
    check_config(shown, asked)  # the nested config beside them says the same


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"parameters": {"model.init_args.width": {"value": 3}}}, "model.*width"),
        ({"parameters": {"model.latent_dim": {"value": 3}}}, "write model.init_args.latent_dim"),
        ({"parameters": {"model.init_args.latent_dim": {"values": [3, "many"]}}}, "latent_dim.*many"),
        ({"parameters": {"model.init_args.latent_dim": {"values": [3, 4.0]}}}, "latent_dim.*4.0"),
        ({"metric": {"name": "val/fid"}}, "metric.name: got 'val/fid', expected one that .* logs: .*val/bpd"),
        ({"metric": {"name": "val/bdp"}}, "metric.name: got 'val/bdp'"),
        ({"metric": {"name": "train/lss"}}, "got 'train/lss', expected .*train/grad_norm, .*train/loss"),
        ({"metric": {"name": "throughput/speed"}}, "got 'throughput/speed', .*throughput/step_ms"),
        ({"parameters": {"model.init_args.latent_dim": {"values": [4, -1]}}}, "latent_dim: got -1"),
        ({"parameters": {"model.init_args.latent_dim": {"min": 0, "max": 90}}}, "latent_dim: got 0"),
        ({"parameters": {f"{ADAM}.init_args.lr": {"values": [0.1, -1.0]}}}, "Invalid learning rate: -1.0"),
        (
            {"parameters": {"trainer.val_check_interval": {"values": [4, 20]}}},
            "metric.name: got 'val/bpd', expected one that the trial's 8 steps reach; it is computed after 20",
        ),
    ],
)
def test_what_the_config_does_not_have(changes: dict[str, Any], says: str, tmp_path: Path):
    with pytest.raises(UserError, match=says) as found:
        check_sweep(read_sweep(write(tmp_path, **changes)))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["train/loss", "train/grad_norm", "throughput/step_ms", "val/elbo"])
def test_metrics_that_are_logged(name: str, tmp_path: Path):
    check_sweep(read_sweep(write(tmp_path, metric={"name": name})))


def test_a_validation_in_epochs(tmp_path: Path):
    """Ten batches an epoch, eight steps a trial."""
    whole = {"trainer.check_val_every_n_epoch": {"value": 1}, "trainer.val_check_interval": {"value": 1.0}}
    half = {**whole, "trainer.val_check_interval": {"value": 0.5}}
    check_sweep(read_sweep(write(tmp_path, parameters=half)))
    with pytest.raises(UserError, match="the trial's 8 steps reach; it is computed after 10"):
        check_sweep(read_sweep(write(tmp_path, parameters=whole)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_configs_of_the_files_have_their_parameters(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Those whose models are made from trained ones name the run that is not there."""
    root, sweep = path.parents[1], read_sweep(path)
    (tmp_path / "configs").symlink_to(root / "configs")
    monkeypatch.chdir(tmp_path)
    if "core.Frozen" in (root / sweep.words({})[2]).read_text():
        with pytest.raises(UserError, match=r"ckpt: got 'runs/.*it does not exist"):
            check_sweep(sweep)
    else:
        check_sweep(sweep)


def test_bad_input_on_the_command_line(tmp_path: Path, lightning: Any):
    file = write(tmp_path)
    for words, says in (
        (["nowhere.yaml"], "sweep: got 'nowhere.yaml', expected a YAML file"),
        ([file], "count: got None, expected a number of trials"),
        ([file, "--count", 0], "count: got 0"),
        ([file, "--count", 1, "--agents", 0], "agents: got 0"),
        ([file, "--count", 1, "--time", "soon", "--slurm"], "time: got 'soon'"),
        ([file, "--count", 1, "--gpus", 1], "gpus: got 1, expected it with --slurm alone"),
        ([file, "--count", 1, "--sampler", "gp"], "sampler: got 'gp', expected it with method: bayes"),
    ):
        found = lightning("sweep", *words, "--root", tmp_path / "runs")
        assert found.status == 2
        assert says in found.error
