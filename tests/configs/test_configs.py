"""Every config, through the real command line: it trains, samples and comes back, on small data of its spec."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from genlab.cli.main import run
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.run_dir import RunDir
from genlab.experiments.run_logger import read_rows
from tests.configs.small import CONFIGS, ROOT, STEPS, flags, named_runs, parts, samples, tree, write_data

DIGITS = {
    "diffusion": "flow_matching_digits",
    "vae": "vae_digits",
    "gan": "dcgan_digits",
}  # one of each family
RECONSTRUCT = ("vae",)
EIGHT = [config for config in CONFIGS if re.search("mnist|cifar", config.stem)]


def name_of(config: Path) -> str:
    return config.stem


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], RunDir]:
    """The run of a config, trained when it is first asked for."""
    home = tmp_path_factory.mktemp("configs")
    data, done = write_data(home / "data"), {}

    def fit(config: Path) -> RunDir:
        if config not in done:
            words = ["fit", "--config", str(config), *flags(config, data, home / "runs")]
            wanted = tree(config)
            named = {**named_runs(wanted["model"], "model"), **named_runs(wanted["data"], "data")}
            if "init_from" in wanted:
                named["init_from"] = Path(wanted["init_from"]).name
            for flag, name in named.items():
                other = next(path for path in CONFIGS if path.stem == name)
                words.append(f"--{flag}={fit(other).root}")
            assert run(words) == 0
            done[config] = RunDir(home / "runs" / config.stem / "a")
        return done[config]

    return fit


def test_there_are_configs_for_every_family_and_data_set():
    names = {(config.parent.name, config.stem.rsplit("_", 1)[-1]) for config in CONFIGS}
    assert {(family, data) for family in DIGITS for data in ("digits", "mnist", "cifar10")} <= names


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_trains_and_samples(config: Path, fitted: Any, lightning: Any, tmp_path: Path):
    run_dir, wanted = fitted(config), tree(config)
    checkpoint = read_checkpoint(run_dir.last)
    assert checkpoint["global_step"] == STEPS
    assert list(checkpoint["ema"]) == [str(decay) for decay in wanted["ema"]["decays"]]
    average = checkpoint["ema"][str(wanted["ema"]["decays"][0])]
    moved = [key for key, value in average.items() if not torch.equal(value, checkpoint["state_dict"][key])]
    assert moved, "the average is not the raw weights"

    rows = read_rows(run_dir.metrics)[1]
    losses = [(key, float(value)) for row in rows for key, value in row.items() if "/" in key and value != ""]
    assert {key.split("/")[0] for key, _ in losses} >= {"train", "val"}
    assert any(key == "val/fid" for key, _ in losses) == samples(config)
    assert np.isfinite([value for _, value in losses]).all(), losses
    if not samples(config):
        return

    archive = tmp_path / "samples.npz"
    done = lightning("sample", "--ckpt", run_dir.root, "--num", 3, "--out", archive)
    assert done.status == 0, done.err
    drawn = np.load(archive)
    spec = checkpoint["genlab"]["spec"]["modalities"]
    kind = "image" if "image" in spec else "vector"
    assert drawn[kind].shape == (3, *spec[kind]["shape"])
    assert np.isfinite(drawn[kind]).all()
    assert np.ptp(drawn[kind], axis=0).max() > 1e-3, "samples differ from each other"
    assert json.loads(str(drawn["about"]))["weights"] == f"ema {wanted['ema']['decays'][0]}"


def schedules(model: dict[str, Any]) -> list[Any]:
    """The schedule of the model's training, or of its part that is trained."""
    trained = [part for part in parts(model) if not re.search(r"\.(first_stage|base|teacher)\.", part[0])]
    return [part for part in trained if part[0].endswith(".schedule.init_args")]


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_interpolates(config: Path, fitted: Any):
    """What depends on the length of training follows the command line, and is resolved in the run's config."""
    text = fitted(config).config.read_text()
    assert "${" not in text
    for (_, _, written), (_, _, resolved) in zip(
        schedules(tree(config)["model"]), schedules(yaml.safe_load(text)["model"]), strict=True
    ):
        if "total" in written:
            assert (written["total"], resolved["total"]) == ("${trainer.max_steps}", STEPS)


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_header_says_what_it_is(config: Path):
    header = [line for line in config.read_text().splitlines() if line.startswith("#")]
    assert re.match(r"# \S.*\.$", header[0]), "one line, a sentence"
    for key in ("Paper", "Published figure", "Reached here"):
        assert len([line for line in header if re.match(rf"# {key}: \S+", line)]) == 1, key


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_header_says_on_what_it_trains_and_at_what_cost(config: Path):
    """The time on CPUs, as expected or as it was; the images that a GPU sees."""
    header = " ".join(line.strip("# ") for line in config.read_text().splitlines() if line.startswith("#"))
    wanted = tree(config)
    if wanted["trainer"].get("accelerator") == "cpu":
        assert re.search(r"(second|minute)s? on (a CPU|two CPU cores)|\d s on cpu x\d", header)
        return
    steps = wanted["trainer"]["max_steps"] * wanted["model"]["init_args"].get("num_critic_steps", 1)
    millions = steps * innermost(wanted["data"])["batch_size"] / 1e6
    assert "one GPU" in header
    assert f"Cost: {millions:,.{0 if millions >= 10 else 1}f} million images" in header


def eight_gpus(config: Path) -> list[str]:
    """The flags that a config's header adds for eight GPUs."""
    text = re.search(r"^# Eight GPUs[^\n]*\n(?:#   [^\n]*\n)*", config.read_text(), re.MULTILINE)
    assert text, "no line for eight GPUs"
    return re.findall(r"--\S+=\S+", text.group())


def trained(model: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the model, or of its prior."""
    arguments = model["init_args"]
    return arguments["prior"]["init_args"] if "first_stage" in arguments else arguments


def innermost(data: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the data set, which may be within another one."""
    arguments = data["init_args"]
    return arguments["data"]["init_args"] if "data" in arguments else arguments


@pytest.mark.parametrize("config", EIGHT, ids=name_of)
def test_header_sizes_it_for_eight_gpus(config: Path, lightning: Any):
    """The flags are those of the parser, and leave enough validations and scores in a run of fewer steps."""
    shown = lightning("fit", "--config", config, *eight_gpus(config), "--print_config")
    assert shown.status == 0, shown.err
    eight, one = yaml.safe_load(shown.out), tree(config)
    trainer, model, before_model = eight["trainer"], trained(eight["model"]), trained(one["model"])
    assert (str(trainer["devices"]), trainer["strategy"]) == ("8", "ddp")
    batch, before = (innermost(config["data"])["batch_size"] for config in (eight, one))
    assert batch % 8 == 0
    assert batch > before, "the batch is that of all GPUs"
    assert trainer["max_steps"] < one["trainer"]["max_steps"]
    assert trainer["max_steps"] * batch >= one["trainer"]["max_steps"] * before, "as many images at least"
    assert model["optimizer"]["init_args"]["lr"] > before_model["optimizer"]["init_args"]["lr"]
    if "total" in model["schedule"]["init_args"]:
        assert model["schedule"]["init_args"]["total"] == trainer["max_steps"]
    if "Batch" in json.dumps(model) or model.get("generator", {}).get("init_args", {}).get("norm") == "batch":
        assert trainer["sync_batchnorm"]
    batches = trainer["max_steps"] * model.get("num_critic_steps", 1)
    assert batches / trainer["val_check_interval"] >= 8
    assert trainer["max_steps"] / eight["metrics"]["every_n_steps"] >= 4


@pytest.mark.parametrize("family", DIGITS)
def test_every_command_takes_the_run(family: str, fitted: Any, lightning: Any, tmp_path: Path):
    run_dir = fitted(ROOT / "configs" / family / f"{DIGITS[family]}.yaml")

    validated = lightning("validate", "--ckpt_path", run_dir.root)
    assert validated.status == 0, validated.err
    assert "val/fid" in validated.out
    tested = lightning("test", "--ckpt_path", run_dir.root)
    assert tested.status == 0, tested.err
    assert re.search(r"test/(critic_)?loss", tested.out)
    predicted = lightning("predict", "--ckpt_path", run_dir.root)
    if family in RECONSTRUCT:
        assert predicted.status == 0, predicted.err
        assert np.load(run_dir.root / "predictions.npz")["image"].shape == (359, 1, 8, 8)
    else:
        assert predicted.status == 2
        assert "for new samples, use lightning sample --ckpt" in predicted.error

    scored = lightning("evaluate", "--ckpt", run_dir.root, "--metrics", "fid,prdc", "--num", 40, "--draws", 2)
    assert scored.status == 0, scored.err
    results = json.loads(run_dir.results.read_text())
    assert np.isfinite([score["value"] for score in results["scores"].values()]).all()
    assert results["protocol"]["num_samples"] == 40
    assert results["baselines"]

    folder = tmp_path / "exported"
    assert lightning("export", "--ckpt", run_dir.root, "--out", folder).status == 0
    images = []
    for source in (run_dir.root, folder):
        out = tmp_path / "samples.npz"
        assert lightning("sample", "--ckpt", source, "--num", 4, "--out", out).status == 0
        images.append(np.load(out)["image"])
    assert np.array_equal(*images)


def test_going_on_past_the_schedule_is_said(fitted: Any, lightning: Any, tmp_path: Path):
    run_dir = tmp_path / "vae_digits" / "a"
    shutil.copytree(fitted(ROOT / "configs" / "vae" / "vae_digits.yaml").root, run_dir)
    done = lightning("fit", "--resume", run_dir, "--trainer.max_steps", STEPS + 1)
    assert done.status == 0, done.err
    assert f"trainer.max_steps: {STEPS} -> {STEPS + 1}" in done.err
    assert f"the learning rate's schedule ended at step {STEPS}" in done.err
    assert read_checkpoint(RunDir(run_dir).last)["global_step"] == STEPS + 1


def test_one_page_compares_all_runs(fitted: Any, lightning: Any, tmp_path: Path):
    runs = [fitted(config).root for config in CONFIGS]
    done = lightning("compare", *runs, "--out", tmp_path / "report.html")
    assert done.status == 0, done.err
    page = (tmp_path / "report.html").read_text()
    for config in CONFIGS:
        assert config.stem in page, config.stem
    assert page.count("data:image/png;base64,") >= sum(map(samples, CONFIGS)), "a grid of each"
    assert not re.search(r"(src|href)=.https?:", page), "needs no network"
