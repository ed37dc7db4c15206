"""What a run directory says about its run, read without building the model; live and partial runs too."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from genlab.core import invalid, require
from genlab.experiments.claim import is_trained
from genlab.experiments.curves import Curves, read_curves
from genlab.experiments.run_dir import RunDir, remedy


@dataclass(frozen=True)
class RunRecord:
    """One run, as its directory tells.

    Args:
        root: the run directory.
        config: resolved config, nested.
        meta: meta.json (run id, experiment, family, data set, git commit, package version, state, ...).
        curves: from metrics.csv.
        results: results.json, {} while the run is not evaluated.
        name: what the run is called among those that it is compared with.
    """

    root: Path
    config: dict[str, Any]
    meta: dict[str, Any]
    curves: Curves
    results: dict[str, Any]
    name: str = field(default="")

    @property
    def family(self) -> str:
        return str(self.meta.get("family") or _class_name(self.config.get("model")))

    @property
    def dataset(self) -> str:
        return str(self.meta.get("dataset") or _class_name(self.config.get("data")))

    @property
    def state(self) -> str:
        """What the run says of itself; "killed" where it says "running" and no process does."""
        state = str(self.meta.get("state", ""))
        return "killed" if state == "running" and is_trained(RunDir(self.root)) is False else state

    @property
    def provenance(self) -> dict[str, Any]:
        """Package version, git commit and machine of the training."""
        return self.meta.get("provenance") or {}

    def reached(self, axis: str) -> float | None:
        """How far the run is in "step", "images" or "seconds", by its curves or meta.json."""
        known = [x for x in (self.curves.last(axis), self.meta.get(axis)) if isinstance(x, int | float)]
        return max(known, default=None)

    @property
    def sample_grid(self) -> Path | None:
        """The latest grid at the fixed seeds, where one was drawn."""
        return self.picture("latest")

    def picture(self, name: str) -> Path | None:
        """One of the run's pictures by its name, "reconstructions" or a view's, where it was drawn."""
        path = RunDir(self.root).samples / f"{name}.png"
        return path if path.is_file() else None


def read_run(path: str | Path) -> RunRecord:
    """The record of a run directory (or of the run that a checkpoint lies in).

    Raises:
        UserError: there is no run, or a file in it can't be read.
    """
    found, expected = Path(path), "a run directory with config.yaml and meta.json"
    require(
        found.exists(),
        "run",
        str(path),
        f"{expected}, but it does not exist",
        "name runs/<experiment>/<run id>",
    )
    run = RunDir.of(found)
    if run is None:
        raise invalid("run", str(path), expected, remedy(found))
    return RunRecord(
        root=run.root,
        config=_read(run.config, _load_yaml),
        meta=_read(run.meta, json.loads),
        curves=read_curves(run.metrics),
        results=_read(run.results, json.loads),
    )


def _read(path: Path, parse: Any) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError, OSError) as error:
        raise invalid("run", str(path), f"a readable {path.name}", "repair or remove that file") from error
    return content if isinstance(content, dict) else {}


def _load_yaml(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _class_name(section: Any) -> str:
    path = section.get("class_path", "") if isinstance(section, dict) else ""
    return str(path).rsplit(".", 1)[-1]
