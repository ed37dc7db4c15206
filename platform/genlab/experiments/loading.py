"""From a run directory, a checkpoint or an exported folder to a model that is ready to use."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genlab.core import DataSpec, UserError
from genlab.experiments.building import build
from genlab.experiments.changes import Changes, changed
from genlab.experiments.checkpoint_io import read_checkpoint
from genlab.experiments.run_dir import RunDir, remedy, runs_in


@dataclass(frozen=True)
class Loaded:
    """A model and where it came from.

    Args:
        model: the family's LightningModule, in eval mode.
        spec: of the data it was trained on.
        config: the run's resolved config.
        weights: which weights it holds: "raw" or "ema 0.999".
        path: the checkpoint or exported folder.
        run_dir: the run it belongs to, if any.
        step: optimiser steps at which it was saved.
        meta: package version, commit and machine of the training.
        changes: settings that differ from the run's, and what guides it beside its own guidance.
    """

    model: nn.Module
    spec: DataSpec
    config: dict[str, Any]
    weights: str
    path: Path
    run_dir: RunDir | None
    step: int
    meta: dict[str, Any]
    changes: dict[str, str] = field(default_factory=dict)


def load(path_or_run: str | Path, weights: str = "ema", device: str | torch.device = "cpu") -> nn.Module:
    """The model of a run or checkpoint with its averaged weights, ready for `.sample(...)`.

    Args:
        path_or_run: a run directory (its best checkpoint, else its last), a checkpoint, or an exported folder.
        weights: "ema", "raw", or one of the run's decays, as in "0.999".
        device: where the model goes.

    Raises:
        UserError: nothing to load there, or it is no checkpoint of genlab.
    """
    return load_checkpoint(path_or_run, weights, device).model


def resolve_checkpoint(path_or_run: str | Path) -> Path:
    """The checkpoint file meant by a run directory (best, else last) or by a file's own path."""
    path = Path(path_or_run)
    if not path.is_dir():
        return path
    run = RunDir(path)
    for candidate in (run.best, run.last):
        if candidate.is_file():
            return candidate
    if RunDir.of(path) is None:
        raise UserError(f"ckpt: got {str(path)!r}, expected a run, a checkpoint or an export; {remedy(path)}")
    raise UserError(
        f"ckpt: got {str(path)!r}, expected a run with checkpoints/last.ckpt or best.ckpt; it has none (yet): "
        "wait for the first one, or pass a checkpoint's path"
    )


def latest(path_or_runs: str) -> str:
    """The last run with a checkpoint in a folder of runs, runs/<experiment>; any other path as it is."""
    from genlab.experiments.export import is_export

    folder = Path(path_or_runs)
    if not folder.is_dir() or RunDir.of(folder) or is_export(folder):
        return path_or_runs
    runs = [run for run in runs_in(folder) if run.last.is_file()]
    return str(runs[-1].root) if runs else path_or_runs


def load_checkpoint(
    path_or_run: str | Path,
    weights: str = "ema",
    device: str | torch.device = "cpu",
    changes: Changes | None = None,
) -> Loaded:
    """`load`, with all that is known about the model, and with other settings of it, as {"solver.num_steps": "50"}."""
    from genlab.experiments.export import is_export, read_export

    if is_export(path_or_run):
        path, checkpoint = Path(path_or_run), read_export(path_or_run)
    else:
        path = resolve_checkpoint(path_or_run)
        checkpoint = read_checkpoint(path)
    about = checkpoint.get("genlab")
    if not isinstance(about, dict) or "config" not in about:
        raise UserError(
            f"ckpt: got {str(path)!r}, expected a checkpoint that says how to rebuild its model; "
            "this one was not written by `lightning fit` of genlab"
        )
    name = load_weights(checkpoint, weights, path)
    spec = DataSpec.of(about["spec"])
    model = build_model(changed(about["config"]["model"], changes or {}), spec)
    _load_state(model, checkpoint["state_dict"], path, changes or {})
    return Loaded(
        model=model.eval().to(device),
        spec=spec,
        config=about["config"],
        weights=name,
        path=path,
        run_dir=RunDir.of(path),
        step=int(checkpoint.get("global_step", 0)),
        meta=about.get("provenance", {}),
        changes=dict(changes or {}),
    )


def load_weights(checkpoint: dict[str, Any], weights: str, path: Path) -> str:
    """Put the asked weights into `checkpoint["state_dict"]`; the name of what was taken.

    Raises:
        UserError: the checkpoint has no such average.
    """
    averages: dict[str, dict[str, torch.Tensor]] = checkpoint.get("ema") or {}
    held = checkpoint["genlab"].get("weights")
    if held is not None:  # an exported folder holds one set
        if weights not in ("ema", held, held.removeprefix("ema ")):
            raise UserError(
                f"weights: got {weights!r}, expected {held}, the only ones that the export {path} holds; "
                "leave the option out, or take them from the run or its checkpoint"
            )
        return held
    if weights == "raw" or (weights == "ema" and not averages):
        return "raw"
    decay = next(iter(averages)) if weights == "ema" else weights.removeprefix("ema ")
    if decay not in averages:
        have = ", ".join(["raw", *averages])
        raise UserError(f"weights: got {weights!r}, expected one of {have} (in {path}); choose one of these")
    checkpoint["state_dict"] = {**checkpoint["state_dict"], **averages[decay]}
    return f"ema {decay}"


def build_model(config: dict[str, Any], spec: DataSpec) -> nn.Module:
    """The model of a resolved config's `class_path` and `init_args`."""
    return build({**config, "init_args": {**config.get("init_args", {}), "spec": spec.to_dict()}})


def build_data(config: dict[str, Any]) -> Any:
    """The DataModule of a run's config."""
    return build(config["data"])


def _load_state(model: nn.Module, state: dict[str, torch.Tensor], path: Path, changes: Changes) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        wrong = [line.strip() for line in str(error).splitlines()[1:]]
        why = "it was written by another version or for another model"
        if changes:
            why = (
                f"leave out what changes its weights among {', '.join(f'--model.{name}' for name in changes)}"
            )
        raise UserError(
            f"ckpt: the weights in {str(path)!r} do not fit {type(model).__name__} as its config builds it "
            f"({wrong[0] if wrong else error}); {why}"
        ) from error
