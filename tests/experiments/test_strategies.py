"""Two processes, whole or sharded weights, give what one process gives on the same global batch."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from genlab.core import UserError
from genlab.experiments import torch_files
from genlab.experiments.checkpoint_io import read_checkpoint, read_index
from genlab.experiments.checkpoint_shards import SHARDS
from genlab.experiments.run_dir import RunDir
from genlab.experiments.run_logger import read_rows
from genlab.experiments.sharding import Sharded, writes_weights
from genlab.networks import VectorQuantiser
from tests import tiny
from tests.conftest import ROOT
from tests.forked import lightning, several

pytestmark = pytest.mark.timeout(900)  # fits of two processes each, on a machine that may be busy
SHARDED = ["--trainer.strategy=genlab.experiments.sharding.Sharded", "--trainer.strategy.wrap=[Layer]"]
FSDP = [*SHARDED, "--trainer.devices=2"]
STRATEGIES = {"one": [], "ddp": ["--trainer.strategy=ddp", "--trainer.devices=2"]}
STRATEGIES["fsdp"] = FSDP


def config(path: Path, family: str = "Autoencoder") -> Path:
    clip = {"gradient_clip_val": 0.5} if family == "Autoencoder" else {}
    tree = tiny.config("vae", max_steps=12, **clip)
    tree["model"] = {"class_path": f"tests.deterministic.{family}"}
    tree["data"]["init_args"] = {"batch_size": 16, "limit": 168}
    tree["samples"]["every_n_steps"] = tree["metrics"]["every_n_steps"] = 0
    tree["health"] = {"every_n_steps": 1}
    return tiny.write(path / f"{family}.yaml", tree)


def fit(folder: Path, name: str, *words: str, family: str = "Autoencoder", status: int = 0) -> RunDir:
    """A fit in processes of its own group, which ends with this status."""
    path = config(folder, family)
    words = ("--config", str(path), f"--run.root={folder}", f"--run.id={name}", "--ckpt_path=last", *words)
    ended = lightning("fit", *words, arrange=several(2 if "--trainer.devices=2" in words else 1))
    assert ended.status == status, ended.err
    return RunDir(folder / family / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    folder = tmp_path_factory.mktemp("strategies")
    return {name: fit(folder, name, *words) for name, words in STRATEGIES.items()}


KEEP = {"step", "images", "train/loss", "val/loss", "train/grad_norm", "train/r1", "train/r2"}
KEEP |= {f"{phase}/{name}_loss" for phase in ("train", "val") for name in ("critic", "generator")}


def columns(run: RunDir) -> list[dict[str, float]]:
    rows = read_rows(run.metrics)[1]
    return [{k: float(value) for k, value in row.items() if k in KEEP and value} for row in rows]


def assert_close(a: Any, b: Any) -> None:
    assert a.keys() == b.keys()
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_losses_weights_and_averages_are_those_of_one_process(runs: dict[str, RunDir], name: str):
    one, two = columns(runs["one"]), columns(runs[name])
    assert [row.keys() for row in one] == [row.keys() for row in two]
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    whole, other = read_checkpoint(runs["one"].last), read_checkpoint(runs[name].last)
    assert_close(whole["state_dict"], other["state_dict"])
    for decay in ("0.9", "0.99"):
        assert_close(whole["ema"][decay], other["ema"][decay])
        assert not torch.equal(whole["ema"][decay]["down.weight"], whole["state_dict"]["down.weight"])


def shards(run: RunDir) -> set[str]:
    return {path.name for path in (run.checkpoints / SHARDS).iterdir()}


def named(run: RunDir) -> set[str]:
    return {read_index(path)[0]["shards"]["folder"] for path in run.checkpoints.glob("*.ckpt")}


def test_each_rank_writes_its_rows_alone(runs: dict[str, RunDir]):
    index, files = read_index(runs["fsdp"].last)
    whole = read_checkpoint(runs["fsdp"].last)
    parts = [torch_files.read(file) for file in files.files]
    assert len(parts) == 2
    state = whole["state_dict"] | {
        f"ema/{d}/{k}": x for d, own in whole["ema"].items() for k, x in own.items()
    }
    everything = sum(x.numel() for x in [*state.values(), *moments(whole).values()] if x.ndim)
    held = [sum(x.numel() for x in part.values()) for part in parts]
    assert sum(held) == everything
    assert max(held) < 0.55 * everything
    assert all(x.is_meta for x in index["state_dict"].values())
    assert shards(runs["fsdp"]) == named(runs["fsdp"])


def moments(checkpoint: dict[str, Any]) -> dict[Any, torch.Tensor]:
    states = enumerate(checkpoint["optimizer_states"])
    return {(n, i, k): x for n, state in states for i, own in state["state"].items() for k, x in own.items()}


def assert_equal(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Bit by bit: weights, averages, and the optimisers' states."""
    for part in (lambda c: c["state_dict"], lambda c: c["ema"]["0.9"], lambda c: c["ema"]["0.99"], moments):
        assert part(a).keys() == part(b).keys()
        for name, tensor in part(a).items():
            assert torch.equal(tensor, part(b)[name]), name


def test_killed_while_saving_and_continued_it_ends_as_the_uninterrupted_run(runs: dict[str, RunDir]):
    folder = runs["fsdp"].root.parents[1]
    ends = {"WithinAShard": -signal.SIGKILL, "BeforeTheIndex": -signal.SIGKILL, "FullDisk": 1}
    for where, status in ends.items():
        fault = [
            w.replace("genlab.experiments.sharding.Sharded", f"tests.killed_saves.{where}") for w in FSDP
        ]
        killed = fit(folder, "killed", *fault, status=status)
        assert read_checkpoint(killed.last)["global_step"] == 5
        left = len(shards(killed) - named(killed))
        assert left == (0 if where == "FullDisk" else 1)  # which the next save deletes
    *_, error, _ = killed.log.read_text().splitlines()
    assert error.startswith(f"error: checkpoint: could not write {killed.last} (File too large)")
    fit(folder, "killed", *FSDP)
    assert_equal(read_checkpoint(runs["fsdp"].last), read_checkpoint(killed.last))
    assert shards(killed) == named(killed)
    assert not list(killed.root.rglob("*.tmp"))


def test_a_disk_that_is_not_shared_is_refused(tmp_path: Path):
    fault = [w.replace("genlab.experiments.sharding.Sharded", "tests.killed_saves.OwnDisk") for w in FSDP]
    refused = fit(tmp_path, "disks", *fault, status=2)
    (error,) = [line for line in refused.log.read_text().splitlines() if line.startswith("error: ")]
    assert f"run.root: got '{refused.checkpoints}', expected a folder that all nodes see" in error
    assert refused.read_meta()["state"] == "failed"
    assert read_checkpoint(refused.last)["global_step"] == 5
    assert shards(refused) == named(refused)
    assert not list((refused.root / "own disk").iterdir())


def test_networks_whose_feature_maps_are_channels_last_are_sharded(tmp_path: Path):
    """As the overlay's header has it: a U-Net for GPUs, with configs/trainer/fsdp.yaml."""
    tree = tiny.config("diffusion", max_steps=2, devices=1)
    tree["model"]["init_args"]["network"]["init_args"]["channels_last"] = True
    tree["samples"]["every_n_steps"] = tree["metrics"]["every_n_steps"] = 0
    overlay = ["--config", str(ROOT / "configs" / "trainer" / "fsdp.yaml"), "--trainer.devices=1"]
    words = ["--config", str(tiny.write(tmp_path / "unet.yaml", tree)), *overlay, f"--run.root={tmp_path}"]
    ended = lightning("fit", *words, "--run.id=a", arrange=several(1))
    assert ended.status == 0, ended.err
    assert list(tmp_path.rglob(SHARDS))


def test_each_checkpoint_continues_on_any_number_of_ranks(runs: dict[str, RunDir]):
    folder = runs["fsdp"].root.parents[1]
    for steps, words in ((3, []), (6, FSDP), (9, [*SHARDED, "--trainer.devices=1"]), (12, [])):
        moved = fit(folder, "moved", *words, f"--trainer.max_steps={steps}")
    one, other = read_checkpoint(runs["one"].last), read_checkpoint(moved.last)
    assert_close(one["state_dict"], other["state_dict"])
    assert_close(one["ema"]["0.9"], other["ema"]["0.9"])
    assert shards(moved) == {read_index(moved.best)[0]["shards"]["folder"]}


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    folder = tmp_path_factory.mktemp("games")
    return {name: fit(folder, name, *words, family="Adversaries") for name, words in STRATEGIES.items()}


@pytest.mark.parametrize("name", ["ddp", "fsdp"])
def test_two_networks_play_as_in_one_process(games: dict[str, RunDir], name: str):
    one, two = columns(games["one"]), columns(games[name])
    assert {"train/critic_loss", "train/generator_loss", "train/r1", "train/r2"} <= {
        k for r in one for k in r
    }
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-6)
    whole, other = read_checkpoint(games["one"].last), read_checkpoint(games[name].last)
    assert_close(whole["state_dict"], other["state_dict"])
    assert_close(whole["ema"]["0.9"], other["ema"]["0.9"])


def test_two_sharded_networks_continue_exactly(games: dict[str, RunDir]):
    folder = games["fsdp"].root.parents[1]
    for steps in (5, 12):
        half = fit(folder, "half", *FSDP, f"--trainer.max_steps={steps}", family="Adversaries")
    assert_equal(read_checkpoint(games["fsdp"].last), read_checkpoint(half.last))


@pytest.mark.parametrize(("settings", "ok"), [({}, False), ({"kmeans": False, "dead_below": 0.0}, True)])
def test_a_codebook_that_is_written_apart_from_its_optimiser_is_not_sharded(settings, ok):
    quantiser = VectorQuantiser(4, 8, learning="gradient", **settings)
    assert writes_weights(quantiser) != ok
    assert not writes_weights(VectorQuantiser(4, 8))
    if not ok:
        with pytest.raises(
            UserError, match=r"trainer\.strategy: got 'Sharded', expected ddp: VectorQuantiser"
        ):
            Sharded().shard(torch.nn.ModuleList([quantiser]))
    assert not writes_weights(quantiser.requires_grad_(False)), "a frozen one is not written"
