"""The page's plot of distortion over rate: what each run's codes cost, and what is lost by them."""

from collections.abc import Sequence

from genlab.experiments.comparison import Column, Comparison, Score
from genlab.experiments.markup import swatch, tag, text
from genlab.experiments.sweeps.scale import Scale, short
from genlab.experiments.words import number

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 620, 340, 80, 36, 50  # pixels
RATE, DISTORTION = "rate_bits", "distortion_mse"

Point = tuple[
    int | None, str, Score, Score
]  # the run's number (None: a baseline), its name, rate, distortion


def rate_section(comparison: Comparison, colors: Sequence[str]) -> str:
    """A plot for each protocol under which some run has both scores; empty without any."""
    columns = comparison.columns
    pairs = [
        (r, d) for r in columns for d in columns
        if r.metric == RATE and d.metric == DISTORTION and r.protocol == d.protocol
    ]  # fmt: skip
    plots = [_plot(points_of(comparison, r, d), colors) for r, d in pairs]
    return tag("section", tag("h2", "Rate and distortion") + "".join(plots), id="rate") if plots else ""


def points_of(comparison: Comparison, rate: Column, distortion: Column) -> list[Point]:
    """Runs, then baselines, that have both scores."""
    runs = [
        (i, comparison.runs[i].name, rate.scores[i], distortion.scores[i])
        for i in rate.scores
        if i in distortion.scores
    ]
    both = [name for name in rate.baselines if name in distortion.baselines]
    return runs + [(None, name, rate.baselines[name], distortion.baselines[name]) for name in both]


def _plot(points: list[Point], colors: Sequence[str]) -> str:
    rates, errors = [p[2].value for p in points], [p[3].value for p in points]
    x, y = Scale(0.0, max(*rates, 1e-9), False), Scale.of(errors)
    parts = [_axis(x, y, errors)]
    parts += [_point(point, x, y, colors) for point in points]
    size = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": WIDTH, "height": HEIGHT}
    drawing = tag("svg", "".join(parts), class_="rate", role="img", aria_label="distortion over rate", **size)
    rows = [
        tag("li", swatch(colors[i]) + text(f"{name}: {rate.protocol.get('code', '')}"), data_run=i)
        for i, name, rate, _ in points
        if i is not None
    ]
    what = "Mean squared error per value, in units of [-1, 1], over bits per datum; lower and further left is better."
    return (
        tag("div", drawing, class_="scroll", tabindex=0)
        + tag("p", text(what), class_="quiet")
        + tag("ul", "".join(rows), class_="legend")
    )


def _point(point: Point, x: Scale, y: Scale, colors: Sequence[str]) -> str:
    i, name, rate, error = point
    at = {"cx": f"{_x(x.at(rate.value)):.1f}", "cy": f"{_y(y.at(error.value)):.1f}"}
    words = f"{name}: {number(rate.value)} bits, MSE {number(error.value)}"
    style = "" if i is None else f"--run: {colors[i]}"
    circle = tag(
        "circle", tag("title", text(words)), r=5, style=style, class_="floor" if i is None else None, **at
    )
    right = x.at(rate.value) > 0.7
    place = {"x": float(at["cx"]) + (-9 if right else 9), "y": float(at["cy"]) - 7}
    label = tag("text", text(name), text_anchor="end" if right else "start", **place)
    return tag("g", circle + label, data_run=i)


def _axis(x: Scale, y: Scale, errors: list[float]) -> str:
    bottom = _y(0) + 12
    parts = [
        tag("line", x1=LEFT, x2=WIDTH - 20, y1=bottom, y2=bottom),
        tag(
            "text", "bits per datum", x=(LEFT + WIDTH) / 2, y=HEIGHT - 8, text_anchor="middle", class_="name"
        ),
        tag("text", "MSE", x=LEFT - 8, y=TOP - 20, text_anchor="end", class_="name"),
    ]
    for share in (0, 1 / 3, 2 / 3, 1):
        place = {"x": f"{_x(share):.1f}", "y": bottom + 16}
        parts.append(tag("text", text(short(share * x.high)), text_anchor="middle", **place))
    for position, label in y.ticks(errors):
        place = {"x": LEFT - 8, "y": f"{_y(position):.1f}"}
        parts.append(tag("text", text(label), text_anchor="end", dominant_baseline="middle", **place))
    return "".join(parts)


def _x(position: float) -> float:
    return LEFT + (WIDTH - 40 - LEFT) * position


def _y(position: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - position)
