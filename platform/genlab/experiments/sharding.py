"""Weights, gradients and optimiser states sharded over the ranks: FSDP2, for models that one device cannot hold."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from lightning.pytorch import LightningModule
from lightning.pytorch.strategies import ModelParallelStrategy
from lightning.pytorch.strategies.parallel import ParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard

from genlab.callbacks.sharded import cut_like, is_sharded
from genlab.core import WorkError, invalid, require
from genlab.experiments import torch_files
from genlab.experiments.checkpoint_io import could_not_write, read_index
from genlab.experiments.checkpoint_shards import (
    Shards,
    collect,
    fill,
    folder_of,
    new_folder,
    rows_of_rank,
    split,
)
from genlab.experiments.gathering import Gathering
from genlab.families.ranks import average_over_ranks

# Methods of a family that use its weights; each gathers and frees those that belong to no block.
STEPS = ("training_step", "validation_step", "test_step", "predict_step")
SAMPLING = ("sample", "sample_path", "sample_latents", "log_prob", "log_prob_given", "energy")
CODING = (
    "encode",
    "encode_draw",
    "decode",
    "tokenize",
    "detokenize",
    "reconstruct",
    "denoise",
    "to_scaled",
    "from_scaled",
)
MEASURES = ("kl_per_dimension", "rate")
METHODS = (*STEPS, *SAMPLING, *CODING, *MEASURES)


class Sharded(ModelParallelStrategy):
    """Lightning's ModelParallelStrategy with `fully_shard` over all ranks, one shard of every tensor each.

    A block is gathered while it computes and freed after it, forward and backward (`Gathering` has its other
    methods); averages of weights are sharded as these are. Each rank writes its own part of a checkpoint
    (`checkpoint_shards`), into the run directory, which all nodes must see. Any number of ranks continues from it, and
    every command reads it.

    Args:
        wrap: names of the classes whose modules are gathered as one; what is in none of them is gathered for the
            whole step. Blocks that repeat: of a U-Net, "ResidualBlock"; of a transformer, its layers.
        process_group_backend: "gloo" or "nccl"; by the device unless given.

    A family with several optimisers has its networks gathered whole for each of their steps, since its losses do not
    leave through `training_step`, and may be differentiated twice; in between, and in evaluation, it is as above.

    Raises:
        UserError: a weight without dimensions, or one that is written apart from its optimiser; while
            saving, the first rank does not see what another one wrote.
        WorkError: a rank could not write its part; the previous checkpoint is untouched.

    Source: Zhao et al. 2023, "PyTorch FSDP"; its second version in torch.distributed.fsdp.fully_shard.
    """

    lightning_restore_optimizer = True
    # States as the modules and optimisers give them, sharded: Lightning's would rename and gather them.
    lightning_module_state_dict = ParallelStrategy.lightning_module_state_dict
    optimizer_state = ParallelStrategy.optimizer_state

    def __init__(self, wrap: list[str] | None = None, process_group_backend: str | None = None):
        super().__init__(tensor_parallel_size=1, process_group_backend=process_group_backend)
        self.wrap = wrap or []

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def shard(self, model: LightningModule) -> None:
        """Shard a family's weights; called by its `configure_model`."""
        if is_sharded(model):
            return
        single = next((name for name, p in model.named_parameters() if p.ndim == 0), None)
        expected = f"ddp: the weight {single} is a single number, of which there are no shards"
        require(single is None, "trainer.strategy", type(self).__name__, expected, "pass ddp")
        writer = next((module for module in model.modules() if writes_weights(module)), None)
        expected = f"ddp: {type(writer).__name__} writes its weights itself, and shards would not see it"
        remedy = 'pass ddp, or learning "ema"'
        require(writer is None, "trainer.strategy", type(self).__name__, expected, remedy)
        for weight in model.parameters():  # shards are rows of contiguous weights, whatever feature maps are
            weight.data = weight.data.contiguous()
        mesh = self.device_mesh["data_parallel"]
        for block in blocks(model, self.wrap):
            fully_shard(block, mesh=mesh)
        whole = [model] if model.automatic_optimization else networks(model)
        for module in whole:
            fully_shard(module, mesh=mesh, reshard_after_forward=True)
        gathering = Gathering()
        for module in model.modules():
            if isinstance(module, FSDPModule) and module is not model:
                gathering.gather_for_methods(module)
        for name in METHODS:
            if callable(getattr(model, name, None)):
                register_fsdp_forward_method(model, name)  # unless the model itself is not sharded
                if name != "training_step":  # in which a pass with gradients may follow one without
                    gathering.free_after(model, name)

    # ---- several optimisers

    @contextmanager
    def block_backward_sync(self) -> Iterator[None]:
        """Where a family steps its optimisers itself: backward passes on whole weights, of any order and number.

        Within it, all weights are gathered and gradients are each rank's own; after it, each rank has its rows of
        their means over the ranks.
        """
        modules = [m for m in self.lightning_module.modules() if isinstance(m, FSDPModule)]
        if self.lightning_module.automatic_optimization:
            yield
            return
        for module in modules:
            module.unshard()
            _keep_whole(module, True)
        try:
            yield
            whole = {name: p.grad for name, p in self.lightning_module.named_parameters()}
            average_over_ranks(whole.values())
        finally:
            for p in self.lightning_module.parameters():
                p.grad = None
            for module in modules:
                _keep_whole(module, False)
                module.reshard()
        for name, p in self.lightning_module.named_parameters():
            p.grad = None if whole[name] is None else cut_like(whole[name], p)

    # ---- checkpoints

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        path = Path(filepath)
        if self.is_global_zero:
            collect(path.parent)
        name = self.broadcast(new_folder(checkpoint["global_step"]))
        index, mine = split(checkpoint)
        sizes = self._write_shards(mine, path, folder_of(path, name))
        if self.is_global_zero:
            index["shards"] = {"folder": name, "bytes": sizes}
            self.checkpoint_io.save_checkpoint(index, path, storage_options)

    def _write_shards(self, mine: dict[str, Tensor], path: Path, folder: Path) -> list[int]:
        """Write this rank's part; the bytes of all. All ranks raise what one of them does."""
        file = folder / f"{self.global_rank}.pt"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch_files.write(mine, file)
            written: int | str = file.stat().st_size
        except (OSError, RuntimeError) as error:
            written = str(could_not_write(path, error))
        everyone: list[Any] = [None] * self.world_size
        dist.all_gather_object(everyone, written)
        if errors := [said for said in everyone if isinstance(said, str)]:
            shutil.rmtree(folder, ignore_errors=True)
            raise WorkError(errors[0])
        seen = self.broadcast([(folder / f"{rank}.pt").is_file() for rank in range(self.world_size)])
        if not all(seen):
            shutil.rmtree(
                folder, ignore_errors=True
            )  # what this rank has written, where nobody would find it
            expected = "a folder that all nodes see, where each rank writes its shard"
            raise invalid(
                "run.root", str(path.parent), expected, "pass --run.root=DIR on a disk that they share"
            )
        return everyone

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """A checkpoint of which each rank reads no more than its own rows, where it is sharded."""
        index, shards = read_index(self.broadcast(checkpoint_path))
        return fill(index, shards, lambda name, x: self._rows(shards, name, x))

    def _rows(self, shards: Shards, name: str, x: Tensor) -> DTensor:
        rows = shards.rows(name, x, *rows_of_rank(len(x), self.global_rank, self.world_size))
        mesh = self.device_mesh["data_parallel"]
        rows = rows.to(self.root_device)
        return DTensor.from_local(rows, mesh, [Shard(0)], shape=x.shape, stride=x.stride())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        live = self.lightning_module.state_dict()
        state = {name: cut_like(x, live.get(name, x)) for name, x in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(state, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            cut = {
                i: {
                    k: cut_like(x, parameters[i]) if _as_large(x, parameters[i]) else x
                    for k, x in own.items()
                }
                for i, own in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": cut})


def writes_weights(module: nn.Module) -> bool:
    """Whether a module changes weights that are trained, apart from their optimiser: by `writes_weights` it says so."""
    trained = any(p.requires_grad for p in module.parameters(recurse=False))
    return trained and bool(getattr(module, "writes_weights", False))


def networks(model: nn.Module) -> list[nn.Module]:
    """The model's children with weights."""
    return [child for child in model.children() if any(True for _ in child.parameters())]


def blocks(model: nn.Module, names: list[str]) -> Iterator[nn.Module]:
    """Modules of these classes with weights of their own, inner ones first."""
    for module in reversed(list(model.modules())):
        if type(module).__name__ in names and any(p.requires_grad for p in module.parameters()):
            yield module


def _keep_whole(module: FSDPModule, keep: bool) -> None:
    module.set_requires_gradient_sync(not keep, recurse=False)
    module.set_reshard_after_forward(not keep, recurse=False)
    module.set_reshard_after_backward(not keep, recurse=False)


def _as_large(x: Any, parameter: Tensor) -> bool:
    return isinstance(x, Tensor) and x.shape == parameter.shape
