"""The page's pictures: the latest fixed-seed grids side by side, then what shows latents and tokens."""

import base64
from collections.abc import Sequence
from pathlib import Path

from genlab.callbacks.views import VIEWS
from genlab.experiments.markup import swatch, tag, text
from genlab.experiments.records import RunRecord

IMAGE_BYTES = 30_000_000  # of all pictures together
VIEWED = ("reconstructions", *VIEWS)
INTRO = "All grids start from the same seeds: sample number i of each has the same noise, and class, if it has one."


def samples_section(runs: Sequence[RunRecord], colors: Sequence[str]) -> str:
    """The latest grids, and a folded part for each kind of view that some run has."""
    left = Budget(IMAGE_BYTES)
    figures = [_figure(run, color, i, run.sample_grid, left) for i, run, color in _numbered(runs, colors)]
    missing = [run.name for run in runs if run.sample_grid is None]
    full = len(runs) - len(missing) - len([figure for figure in figures if figure])
    notes = "".join(
        tag("p", text(note), class_="quiet")
        for note in (
            f"No grid yet: {', '.join(missing)}." if missing else "",
            f"{full} more grids left out to keep the page small: compare fewer runs to see them."
            if full
            else "",
        )
        if note
    )
    intro = tag("p", INTRO, class_="quiet") if any(figures) else ""
    views = "".join(_views(name, runs, colors, left) for name in VIEWED)
    return intro + tag("div", "".join(figures), class_="grids") + notes + views


class Budget:
    """Bytes that are left for pictures."""

    def __init__(self, total: int):
        self.left = total

    def read(self, path: Path | None) -> bytes | None:
        """A picture's bytes, where there is one and room for it."""
        if path is None or path.stat().st_size > self.left:
            return None
        data = path.read_bytes()
        self.left -= len(data)
        return data


def _views(name: str, runs: Sequence[RunRecord], colors: Sequence[str], left: Budget) -> str:
    figures = [
        _figure(run, color, i, run.picture(name), left, name) for i, run, color in _numbered(runs, colors)
    ]
    if not any(figures):
        return ""
    return tag("details", tag("summary", text(name)) + tag("div", "".join(figures), class_="grids"))


def _figure(
    run: RunRecord, color: str, number: int, path: Path | None, left: Budget, what: str = "samples"
) -> str:
    data = left.read(path)
    if data is None:
        return ""
    step = run.reached("step")
    about = run.family + (f", step {step:,.0f}" if step is not None else "")
    caption = swatch(color) + text(run.name) + tag("div", text(about), class_="quiet")
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    picture = tag("img", src=source, alt=f"{what} of {run.name}", loading="lazy", decoding="async")
    return tag("figure", tag("figcaption", caption) + picture, data_run=number)


def _numbered(runs: Sequence[RunRecord], colors: Sequence[str]) -> list[tuple[int, RunRecord, str]]:
    return [(i, run, color) for i, (run, color) in enumerate(zip(runs, colors, strict=True))]
