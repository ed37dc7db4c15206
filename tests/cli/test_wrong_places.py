"""A path or a setting that is not what was meant gets the name of what is."""

from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.run_folders import make_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two small VAEs."""
    from genlab.cli.main import run

    home = tmp_path_factory.mktemp("home")
    path = tiny.write(home / "vae.yaml", tiny.config("vae", max_steps=2))
    for run_id in ("a", "b"):
        words = ["fit", "--config", path, "--run.root", home / "runs", "--run.id", run_id]
        assert run([str(word) for word in words]) == 0
    return home


@pytest.mark.parametrize(
    "words", [("sample", "--ckpt"), ("evaluate", "--ckpt"), ("test", "--ckpt_path"), ("fit", "--resume")]
)
def test_an_experiment_is_no_run_but_holds_some(words: tuple[str, str], home: Path, lightning: Any):
    runs = home / "runs" / "vae"
    found = lightning(*words, runs)
    assert found.status == 2
    assert found.error.endswith(f"; it holds 2 run(s): name one, as in {runs / 'b'}")
    assert "name a run's directory, runs/<experiment>/<run id>" in lightning(*words, home / "runs").error


@pytest.mark.parametrize("command", ["validate", "fit"])
def test_weights_that_do_not_fit_the_config(command: str, home: Path, tmp_path: Path, lightning: Any):
    words = (
        "--config",
        home / "vae.yaml",
        "--ckpt_path",
        home / "runs" / "vae" / "a" / "checkpoints" / "last.ckpt",
    )
    found = lightning(command, *words, "--model.latent_dim=7")
    assert found.status == 2
    if command == "fit":
        assert "model.init_args.latent_dim: got 7, expected 4" in found.error
    else:
        assert (
            "ckpt_path: the checkpoint's weights do not fit the config's model (size mismatch" in found.error
        )


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("--trainer.barebones=true", "trainer.barebones: got True, expected false"),
        ("--trainer.enable_checkpointing=false", "trainer.enable_checkpointing: got False, expected true"),
        (
            "--trainer.default_root_dir=x",
            "trainer.default_root_dir: got 'x', expected none; pass --run.root=DIR",
        ),
    ],
)
def test_settings_that_a_run_directory_rules_out(setting: str, says: str, home: Path, lightning: Any):
    found = lightning("fit", "--config", home / "vae.yaml", "--run.root", home / "other", setting)
    assert found.status == 2
    assert says in found.error
    assert not (home / "other").exists()


def test_a_score_that_is_never_logged_is_said_once(tmp_path: Path, lightning: Any, caplog: Any):
    tree = tiny.config("vae", max_steps=16)
    tree["checkpoint"]["monitor"] = "val/los"
    tree["metrics"]["every_n_steps"] = 0
    words = ("--config", tiny.write(tmp_path / "vae.yaml", tree), "--run.root", tmp_path, "--run.id", "a")
    assert lightning("fit", *words).status == 0
    (said,) = [text for text in caplog.messages if "checkpoint.monitor" in text]
    assert said.startswith("checkpoint.monitor: got 'val/los', but validation logs val/loss, ")
    assert not (tmp_path / "vae" / "a" / "checkpoints" / "best.ckpt").exists()


def test_no_best_is_kept_by_a_loss_that_does_not_rank_models(tmp_path: Path, lightning: Any, caplog: Any):
    tree = tiny.config("diffusion", max_steps=16)
    levels = {"class_path": "genlab.objectives.Discretisation", "init_args": {"total": 16, "last": 20}}
    tree["model"]["init_args"] |= {
        "objective": {"class_path": "genlab.objectives.ConsistencyTraining", "init_args": {"levels": levels}},
        "solver": {"class_path": "genlab.solvers.MultistepConsistency"},
    }
    config = tmp_path / "diffusion.yaml"
    for run_id, words in (("a", ()), ("b", ("--checkpoint.monitor=val/fid",))):
        caplog.clear()
        tiny.write(config, tree)
        words = ("--config", config, "--run.root", tmp_path / "runs", "--run.id", run_id, *words)
        assert lightning("fit", *words).status == 0
        said = [text for text in caplog.messages if "checkpoint.monitor" in text]
        best = tmp_path / "runs" / "diffusion" / run_id / "checkpoints" / "best.ckpt"
        assert best.exists() == (run_id == "b")
        assert len(said) == (run_id == "a")
        assert all(
            "'val/loss', which does not fall as samples of this model improve" in text for text in said
        )


def test_compare_takes_experiments_and_leaves_out_what_is_no_run(tmp_path: Path, lightning: Any):
    for run_id, score in (("1", 2.0), ("2", 1.0)):
        make_run(tmp_path / "gan" / run_id, scores={"fid": score})
    make_run(tmp_path / "vae" / "1", scores={"fid": 3.0})
    (tmp_path / "vae" / "stray").mkdir()
    found = lightning(
        "compare",
        tmp_path / "gan",
        tmp_path / "vae" / "1",
        tmp_path / "vae" / "stray",
        "--out",
        tmp_path / "page.html",
    )
    assert found.status == 0, found.err
    assert all(name in found.out for name in ("gan/1", "gan/2", "vae"))
    assert "Left out, since they are no runs:" in found.out
    assert lightning("compare", tmp_path / "vae" / "stray").status == 2


def test_an_export_is_as_readable_as_other_files(tmp_path: Path, home: Path, lightning: Any):
    assert lightning("export", "--ckpt", home / "runs" / "vae" / "a", "--out", tmp_path / "out").status == 0
    weights, config = (tmp_path / "out" / name for name in ("model.safetensors", "config.yaml"))
    assert weights.stat().st_mode == config.stat().st_mode
