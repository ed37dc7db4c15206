"""Other settings for a trained model: by name, of the right type, told in what is made with them."""

import json

import numpy as np
import pytest
import torch

from genlab.core import UserError
from genlab.experiments.changes import changed, suffix
from genlab.experiments.loading import load_checkpoint
from tests.run_folders import make_checkpoint, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny diffusion model's."""
    return make_checkpoint(make_run(tmp_path_factory.mktemp("runs") / "diffusion" / "1"), "diffusion")


def test_a_setting_at_any_depth_is_put_in_its_place(run):
    changes = {
        "solver": "genlab.solvers.DDIM",
        "init_args.solver.init_args.num_steps": "7",
        "guidance_scale": "2",
    }
    loaded = load_checkpoint(run, changes=changes)
    protocol = loaded.model.sampling_protocol()
    assert (protocol["solver"], protocol["num_steps"], protocol["guidance_scale"]) == ("DDIM", 7, 2.0)
    assert load_checkpoint(run).model.sampling_protocol() != protocol
    assert loaded.config == load_checkpoint(run).config, "the run's config is what it was trained with"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("guidance_scale", "much", "model.guidance_scale: got 'much', expected float"),
        ("guidence_scale", "2", "model: got 'guidence_scale', expected one of network, path"),
        ("solver.steps", "2", "model.solver: got 'steps', expected one of num_steps"),
        ("guidance_scale.x", "2", "model.guidance_scale: got .*, expected a part with settings"),
        ("spec", "2", "model: got 'spec'"),
        ("solver.num_steps", "0", "num_steps: got 0"),
        (
            "network.channels",
            "16",
            "do not fit Diffusion .*leave out what changes .*--model.network.channels",
        ),
    ],
)
def test_a_mistake_is_one_line(run, name, value, says):
    with pytest.raises(UserError, match=says) as error:
        load_checkpoint(run, changes={name: value})
    assert "\n" not in str(error.value)


def test_what_is_made_with_them_says_so_and_overwrites_nothing(run, lightning, tmp_path):
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt")
    checkpoint["genlab"]["config"]["data"] = {"class_path": "genlab.data.Digits"}
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")
    words = ("--ckpt", run, "--model.solver.num_steps", "3", "--model.guidance_scale=1.5")
    done = lightning("sample", *words, "--num", 4, "--out", tmp_path / "s.npz")
    assert done.status == 0, done.err
    about = json.loads(str(np.load(tmp_path / "s.npz")["about"]))
    assert about["changed"] == {"solver.num_steps": "3", "guidance_scale": "1.5"}
    done = lightning("evaluate", *words, "--metrics", "fid", "--num", 16, "--draws", 1, "--no_baselines")
    assert done.status == 0, done.err
    assert not (run / "results.json").exists()
    results = json.loads((run / "results_solver.num_steps=3_guidance_scale=1.5.json").read_text())
    assert results["protocol"]["changed"] == about["changed"]
    assert results["protocol"]["sampler"]["num_steps"] == 3


def test_words_that_are_no_settings_are_refused(run, lightning):
    for words, says in ((["--modle.x=3"], "unrecognized"), (["--model.x"], "expected one argument")):
        done = lightning("sample", "--ckpt", run, *words)
        assert done.status == 2
        assert says in done.err
        assert done.err.count("\n") == 1


def test_names_of_files_hold_no_separators():
    assert suffix({"a": "x/y z"}) == "_a=x-y-z"
    assert suffix({}) == ""
    assert changed({"class_path": "genlab.families.GAN"}, {})["class_path"] == "genlab.families.GAN"
