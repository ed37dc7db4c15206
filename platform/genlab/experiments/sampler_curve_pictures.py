"""Curves over solvers and guidance as tables for the terminal and plots."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from genlab.core import UserError
from genlab.experiments.evaluation_table import cell, direction

PLOTTED = ("fid", "swd")  # the first of these that was measured


def curve_table(results: dict[str, Any]) -> Group:
    """A row per point, and the protocol below."""
    points, floor, p = results["points"], results["floor"], results["protocol"]
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    keys = [key for key in ("solver", "budget", "scale") if key in points[0]]
    scores = list(points[0]["scores"])
    for key in keys:
        table.add_column(key, justify="left" if key == "solver" else "right", no_wrap=True)
    for title in ("nfe", "s/1000", *(f"{score} {direction(score)}" for score in scores)):
        table.add_column(title, justify="right", no_wrap=True)
    for point in points:
        row = [str(point[key]) if key == "solver" else f"{point[key]:g}" for key in keys]
        row += [f"{point['nfe']:g}", f"{point['seconds']:.2f}"]
        table.add_row(*row, *(cell(point["scores"][s], spread=False, tiny=False) for s in scores))
    ends = [""] * (len(keys) + 1)
    table.add_row(
        "real data", *ends, *(cell(floor.get(s), spread=False, tiny=False) for s in scores), style="dim"
    )
    notes = [
        f"{p['dataset']}, {p['split']}; {p['weights']} weights of step {p['step']:,}; seed {p['seed']}",
        f"{p['num_samples']:,} generated against as many real samples, {p['num_draws']} draw(s); "
        f"features: {p['extractor']}",
        f"nfe: evaluations of networks per sample, those of guidance included; s/1000: seconds per 1,000 samples, "
        f"{p['device']}",
    ]
    return Group(table, *(Text(line, style="dim") for line in notes))


def plot_solvers(results: dict[str, Any], path: Path) -> None:
    """The score over network evaluations, and over seconds, a line per solver; real data are dashed."""
    score = plotted(results)
    if score is None:
        return
    figure, axes = _figure(2)
    for number, name in enumerate(dict.fromkeys(point["solver"] for point in results["points"])):
        rows = [point for point in results["points"] if point["solver"] == name]
        values = [point["scores"][score] for point in rows]
        for axis, x in zip(axes, ("nfe", "seconds"), strict=True):
            mean, std = [v["value"] for v in values], [v["std"] or 0 for v in values]
            axis.errorbar(
                [p[x] for p in rows], mean, std, marker="o", markersize=3, label=name, color=f"C{number}"
            )
    for axis, label in zip(axes, ("network evaluations", "seconds per 1,000 samples"), strict=True):
        axis.set(xlabel=label, ylabel=score, xscale="log", yscale="log")
        if score in results["floor"]:
            axis.axhline(results["floor"][score]["value"], color="grey", linestyle="--", linewidth=1)
    axes[0].legend(fontsize=7)
    _save(figure, path)


def plot_guidance(results: dict[str, Any], path: Path) -> None:
    """Label agreement over the score, a point per scale."""
    score = plotted(results)
    asked = next((name for name in ("judge", "agreement") if name in results["points"][0]["scores"]), None)
    if score is None or asked is None:
        return
    figure, (axis,) = _figure(1)
    x, y = ([point["scores"][name]["value"] for point in results["points"]] for name in (asked, score))
    axis.plot(x, y, marker="o", markersize=4)
    for point, a, b in zip(results["points"], x, y, strict=True):
        axis.annotate(f"{point['scale']:g}", (a, b), textcoords="offset points", xytext=(4, 4), fontsize=7)
    axis.set(xlabel=f"agreement with the class asked for ({asked})", ylabel=score)
    by = {"weaker": "weaker-model"}.get(results["guidance"], results["guidance"])
    axis.set_title(f"scale of {by} guidance", fontsize=9)
    _save(figure, path)


def plotted(results: dict[str, Any]) -> str | None:
    """The score that plots show."""
    return next((name for name in PLOTTED if name in results["points"][0]["scores"]), None)


def _figure(num_axes: int) -> tuple[Any, list[Any]]:
    # Without pyplot, which keeps figures and may look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * num_axes + 0.5, 3.4), dpi=130, layout="constrained")
    return figure, [figure.add_subplot(1, num_axes, i + 1) for i in range(num_axes)]


def _save(figure: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise UserError(f"out: got {str(path)!r}, expected {expected}; pass --out FILE.json") from error
