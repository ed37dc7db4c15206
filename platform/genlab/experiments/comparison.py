"""Runs side by side: scores in columns that share a protocol, and the config keys that differ."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genlab.core import require
from genlab.experiments.comparison_marks import mark_protocols, protocol_notes
from genlab.experiments.differences import IGNORED, flatten
from genlab.experiments.evaluation_table import IDEALS
from genlab.experiments.records import RunRecord, read_run
from genlab.experiments.run_paths import all_runs, find_runs
from genlab.experiments.selection import select
from genlab.experiments.wandb_download import COPIES, download, is_wandb_path

# What was measured, against how: two families never share a sampler or a checkpoint, and must be comparable.
# These stand beside each run; everything else in a protocol decides which column a score belongs to.
SUBJECT = ("sampler", "weights", "checkpoint", "step", "genlab_version", "git_commit", "family", "code")
# Other draws of the same quantity may share its column too, where a note says so.
DRAWS = {"num_draws": "numbers of draws", "seed": "seeds"}
NOTED = {**DRAWS, "genlab_version": "package versions", "weights": "weights"}
OUTCOME = ("standard_error",)  # found by measuring
ASIDE = (*SUBJECT, *DRAWS, *OUTCOME)


@dataclass(frozen=True)
class Score:
    """A value, its standard deviation over draws (None where there was one), and its whole protocol."""

    value: float
    std: float | None
    protocol: dict[str, Any]


@dataclass
class Column:
    """Scores that may be compared: one metric under one protocol.

    Args:
        metric: its name.
        protocol: how it was measured (without what was measured, `SUBJECT`).
        scores: by the run's number.
        baselines: by name ("floor (val against test)").
        common: the part of the protocol that a run's scores share; the rest is this metric's own.
        mark: 0 where the metric has one protocol only; else its protocol's number, and a note says what differs.
    """

    metric: str
    protocol: dict[str, Any]
    common: dict[str, Any] = field(default_factory=dict)
    scores: dict[int, Score] = field(default_factory=dict)
    baselines: dict[str, Score] = field(default_factory=dict)
    mark: int = 0

    def best(self) -> set[int]:
        """The runs with the best score; none where there is no choice, or no better side is known."""
        losses = {run: loss(self.metric, score.value) for run, score in self.scores.items()}
        losses = {run: value for run, value in losses.items() if math.isfinite(value)}
        return (
            {run for run, value in losses.items() if value == min(losses.values())}
            if len(losses) > 1
            else set()
        )


@dataclass(frozen=True)
class Comparison:
    """Runs and what can be said of them together."""

    runs: list[RunRecord]
    columns: list[Column]
    left_out: Sequence[Path] = ()

    def baselines(self) -> list[str]:
        """Names of all baselines, in the order of the files."""
        return list(dict.fromkeys(name for column in self.columns for name in column.baselines))

    def notes(self) -> list[str]:
        """What a reader must know before comparing numbers: one sentence each."""
        notes = protocol_notes(self.columns)
        if self.left_out:
            notes.insert(0, f"Left out, since they are no runs: {', '.join(map(str, self.left_out))}.")
        for key, words in NOTED.items():
            seen = [_seen(key, column.scores) for column in self.columns]
            mixed = set().union(*(values for values in seen if len(values) > 1))
            if mixed:
                notes.append(f"Scores within a column come from different {words}: {_listed(mixed)}.")
        other = [c for c in self.columns if _seen("num_draws", c.baselines) - _seen("num_draws", c.scores)]
        if other:
            sides = ([c.baselines for c in other], [c.scores for c in other])
            fewer, draws = (_listed(set().union(*(_seen("num_draws", s) for s in side))) for side in sides)
            notes.append(f"Floor and baselines are means over {fewer} draws, scores over {draws}.")
        return notes

    def shared_protocol(self) -> dict[str, Any]:
        """The protocol entries on which all columns agree, and all values of `DRAWS`."""
        first, *rest = [column.protocol for column in self.columns] or [{}]
        shared = {k: v for k, v in first.items() if all(k in other and other[k] == v for other in rest)}
        draws = {key: set().union(*(_seen(key, c.scores) for c in self.columns)) for key in DRAWS}
        return shared | {key: _listed(values) for key, values in draws.items() if values}

    def differing_keys(self) -> dict[str, list[Any]]:
        """Config keys whose values are not the same in all runs: one per run, None where it is absent."""
        configs = [flatten(run.config) for run in self.runs]
        keys = [
            k for k in dict.fromkeys(k for config in configs for k in config) if not k.startswith(IGNORED)
        ]
        rows = {key: [config.get(key) for config in configs] for key in keys}
        return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def compare(paths: Sequence[str | Path], where: Sequence[str] = (), sort: str | None = None) -> Comparison:
    """Read the runs and put their scores into columns.

    Args:
        paths: run directories, checkpoints in them, folders of runs (experiments, sweeps), globs, and runs at
            W&B, entity/project/run, which are copied. Folders without runs, as a shell's `runs/*/*` may name, are
            left out if there is a run among the rest.
        where, sort: which of them, and in which order; see `selection.select`.

    Raises:
        UserError: no run is named, one does not exist or can't be read, or no run meets the conditions.
    """
    require(
        len(paths) > 0, "run", [], "at least one run directory", "name folders runs/<experiment>/<run id>"
    )
    places = [download(str(path), COPIES) if is_wandb_path(path) else path for path in paths]
    left_out = [path for path in map(Path, places) if path.is_dir() and not all_runs(path)]
    if len(left_out) == len(places):
        left_out = []
    found = find_runs(path for path in places if Path(path) not in left_out)
    begun = [run for run in found if run.config.is_file()] or found  # one that starts has no config yet
    runs = select([read_run(run.root) for run in begun], where, sort)
    require(len(runs) > 0, "where", list(where), "conditions that some run meets", "leave one out")
    runs = [
        replace(run, name=name) for run, name in zip(runs, short_names([r.root for r in runs]), strict=True)
    ]
    return Comparison(runs, score_columns([run.results for run in runs]), left_out)


def score_columns(results: Sequence[dict[str, Any]]) -> list[Column]:
    """One column per metric and protocol, metrics in the order of the files."""
    columns: dict[tuple[str, str], Column] = {}
    for number, result in enumerate(results):
        for metric, entry in result.get("scores", {}).items():
            score = _score(entry, result.get("protocol", {}))
            if score is None:
                continue
            protocol = {k: _rounded(v) for k, v in score.protocol.items() if k not in ASIDE}
            common = {k: v for k, v in protocol.items() if k in result.get("protocol", {})}
            key = (metric, json.dumps(protocol, sort_keys=True))
            column = columns.setdefault(key, Column(metric, protocol, common))
            column.scores[number] = score
            for name, values in result.get("baselines", {}).items():
                baseline = _score(values.get(metric), result.get("protocol", {}))
                if baseline is not None:
                    column.baselines.setdefault(name, baseline)
    metrics = list(dict.fromkeys(metric for metric, _ in columns))
    mark_protocols(list(columns.values()))
    return sorted(columns.values(), key=lambda column: (metrics.index(column.metric), column.mark))


def loss(metric: str, value: float) -> float:
    """A score as something to be made small; NaN where no better side is known.

    >>> loss("fid", 2.0), loss("coverage", 0.9), loss("two_sample", 0.75), loss("step", 1.0)
    (2.0, -0.9, 0.25, nan)
    """
    better = IDEALS.get(metric)
    if isinstance(better, float):
        return abs(value - better)
    return {"lower": value, "higher": -value}.get(better, math.nan)


def short_names(roots: Sequence[Path]) -> list[str]:
    """What to call runs: their experiments, with run ids where an experiment has several of them.

    >>> short_names([Path("runs/vae/1"), Path("runs/gan/1"), Path("runs/gan/2")])
    ['vae', 'gan/1', 'gan/2']
    """
    experiments = [root.resolve().parent.name for root in roots]
    return [
        e if experiments.count(e) == 1 else f"{e}/{r.resolve().name}"
        for e, r in zip(experiments, roots, strict=True)
    ]


def _score(entry: Any, protocol: dict[str, Any]) -> Score | None:
    if isinstance(entry, int | float):
        entry = {"value": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("value"), int | float):
        return None
    return Score(float(entry["value"]), entry.get("std"), {**protocol, **(entry.get("protocol") or {})})


def _seen(key: str, scores: dict[Any, Score]) -> set[Any]:
    """The values that a protocol entry has in these scores."""
    return {score.protocol[key] for score in scores.values() if score.protocol.get(key) is not None}


def _listed(values: set[Any]) -> str:
    return ", ".join(map(str, sorted(values, key=lambda value: (isinstance(value, str), value))))


def _rounded(value: Any) -> Any:
    """Numbers to six digits: the last ones differ between machines."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
