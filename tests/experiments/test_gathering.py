"""Sharded weights in methods other than `forward`: the same numbers, and gradients, as of whole ones."""

from copy import deepcopy
from inspect import isfunction
from typing import Protocol

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from genlab.core import capabilities
from genlab.experiments.gathering import Gathering
from genlab.experiments.run_dir import RunDir
from genlab.experiments.sharding import METHODS
from tests import composed, tiny
from tests.experiments.test_strategies import SHARDED, assert_close, columns
from tests.forked import apart, lightning, several

FSDP = [word.replace("Layer", "CausalBlock") for word in SHARDED] + ["--trainer.devices=2"]


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDir]:
    """Fits of one process and of two, which draw samples on the way and at the end."""
    folder, runs = tmp_path_factory.mktemp("gathering"), {}
    tree = composed.config("autoregressive", folder, lambda path: None, max_steps=6)
    tree["model"]["init_args"]["network"]["init_args"]["dropout"] = 0.0
    tree["model"]["init_args"]["label_dropout"] = 0.0
    tree["samples"] = {"every_n_steps": 2, "num": 4}
    tree["metrics"] = {"every_n_steps": 3, "num": 20}
    config = tiny.write(folder / "tokens.yaml", tree)
    anew = "--model.decoding=genlab.solvers.AutoregressiveDecoding"
    for name, words in {
        "one": [],
        "two": FSDP,
        "anew": [*FSDP, anew, "--model.decoding.cached=false"],
    }.items():
        words = ["--config", config, f"--run.root={folder}", f"--run.id={name}", *words]
        ended = lightning("fit", *words, arrange=several(1 if name == "one" else 2))
        assert ended.status == 0, ended.err
        runs[name] = RunDir(folder / "tokens" / name)
    return runs


def test_all_that_a_capability_does_with_weights_gathers_them():
    protocols = [
        p for p in vars(capabilities).values() if getattr(p, "_is_protocol", False) and p is not Protocol
    ]
    names = {name for p in protocols for name, part in vars(p).items() if isfunction(part) and name[0] != "_"}
    told = {"sampling_protocol", "corruption_protocol", "averaged_modules", "enlarging"}
    before_training = {"take_encoder", "start"}
    of_shards = {"force_weights"}  # whose rows are whole
    assert names - told - before_training - of_shards - {"losses", "corrupt"} <= set(METHODS)


@pytest.mark.parametrize("name", ["two", "anew"])
def test_decoding_is_that_of_one_process(grids: dict[str, RunDir], name: str):
    one, two = grids["one"], grids[name]
    for a, b in zip(columns(one), columns(two), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    pictures = sorted(path.name for path in one.samples.glob("step_*.png"))
    assert len(pictures) == 4
    for picture in pictures:
        assert (one.samples / picture).read_bytes() == (two.samples / picture).read_bytes()


class Block(nn.Module):
    """A layer with a second method, which `forward` calls, too."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.twice(x))

    def twice(self, x: Tensor) -> Tensor:
        return 2 * self.layer(x)


class Family(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def sample(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = self.block.twice(self.block(x))
        assert not isinstance(self.block.layer.weight, DTensor)
        return x.clone()


def values_and_gradients() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    torch.manual_seed(0)
    whole, x = Family(), torch.randn(4, 3)
    family = deepcopy(whole)
    fully_shard(family.block, mesh=init_device_mesh("cpu", (1,)), reshard_after_forward=True)
    gathering = Gathering()
    gathering.gather_for_methods(family.block)
    gathering.free_after(family, "sample")
    expected = whole.block.twice(whole.block(x)).detach()
    for _ in range(2):  # the second time, what training has gathered
        torch.testing.assert_close(family.sample(x), expected)
        assert isinstance(family.block.layer.weight, DTensor)
        for one in (whole, family):
            (one.block.twice(x).square().mean() + one.block(x).square().mean()).backward()
        gradients = {name: p.grad.full_tensor() for name, p in family.block.named_parameters()}
        assert_close({name: p.grad for name, p in whole.block.named_parameters()}, gradients)
    with torch.no_grad():
        family.block.twice(x)  # in no method of the family's: freed at once
    assert isinstance(family.block.layer.weight, DTensor)


def test_values_and_gradients():
    ended = apart(values_and_gradients)  # its backward passes start threads, with which no test may fork
    assert ended.status == 0, ended.err
