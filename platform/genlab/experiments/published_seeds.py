"""Scores over seeds, as README shows them: tables of the kept measurements."""

from pathlib import Path
from typing import Any

from genlab.experiments.published_tables import with_tables_of


def seeds_table(measured: dict[str, Any]) -> str:
    """Means over seeds, with their standard deviations (n - 1), as markdown; a row for each config.

    >>> scores = {"a": {"mig": {"values": [0.1, 0.3], "mean": 0.2, "std": 0.1414}}}
    >>> print(seeds_table({"seeds": [0, 1], "scores": scores}))
    | 2 seeds | mig |
    | --- | --- |
    | `a` | 0.200 ± 0.141 |
    """
    names = list(next(iter(measured["scores"].values())))
    rows = [[f"{len(measured['seeds'])} seeds", *(name.replace("_", " ") for name in names)]]
    rows.append(["---"] * len(rows[0]))
    for config, scores in measured["scores"].items():
        rows.append([f"`{config}`", *(f"{scores[n]['mean']:.3f} ± {scores[n]['std']:.3f}" for n in names)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def with_seeds(text: str, folder: Path) -> str:
    """A text with every table between marks, `<!-- seeds: NAME -->`, renewed from NAME.json."""
    return with_tables_of("seeds", text, folder, seeds_table)
