"""Quality over solvers' budgets and over guidance, as README shows it: tables of the kept curves."""

import shutil
from pathlib import Path
from typing import Any

from genlab.experiments.published_tables import with_tables_of
from genlab.experiments.run_dir import RunDir

FILES = ("solvers.json", "guidance.json")
BY_CLASSIFIER = "guidance_classifier=*.json"  # where a model has no guidance of its own
SCORES = {"two_sample": "two-sample test", "agreement": "agreement", "judge": "judge"}


def keep_curves(run: RunDir, experiment: str, folder: Path) -> list[Path]:
    """Copy what `lightning evaluate --solvers` and `--guidance-scales` have written for a run."""
    found = {name: run.root / name for name in FILES if (run.root / name).is_file()}
    guided = list(run.root.glob(BY_CLASSIFIER))
    if len(guided) == 1:
        found.setdefault("guidance.json", guided[0])
    folder.mkdir(exist_ok=True)
    return [shutil.copyfile(path, folder / f"{experiment}_{name}") for name, path in found.items()]


def curve_table(curve: dict[str, Any]) -> str:
    """A curve as markdown, a row for each point; FID over that between held-out splits."""
    points, floor = curve["points"], curve["floor"]
    scores = {key: title for key, title in SCORES.items() if key in points[0]["scores"]}
    first = "solver" if "solver" in points[0] else "scale"
    rows = [[first, "evaluations", "s / 1,000 samples", "FID / floor", *scores.values()]]
    rows.append(["---"] * len(rows[0]))
    for point in points:
        ratio = point["scores"]["fid"]["value"] / floor["fid"]["value"]
        figures = [f"{point['scores'][key]['value']:.3f}" for key in scores]
        name = point[first] if first == "solver" else f"{point[first]:g}"
        rows.append([name, str(point["nfe"]), f"{point['seconds']:.1f}", f"{ratio:.2f}", *figures])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def with_curves(text: str, folder: Path) -> str:
    """A text with every table between marks of a curve, `<!-- curve: NAME -->`, renewed from NAME.json."""
    return with_tables_of("curve", text, folder, curve_table)
