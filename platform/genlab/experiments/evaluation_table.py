"""An evaluation's results as a table: the model, the floor and the baselines side by side."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.reconstruction import RECONSTRUCTION_SCORES
from genlab.metrics.scores import METRICS

IDEALS = {score: better for metric in METRICS.values() for score, better in metric.better.items()}
IDEALS |= {"fid_ratio": "lower", "swd_ratio": "lower", "bpd": "lower", "elbo_bpd": "lower"}
IDEALS |= {"rate_bits": "lower", "distortion_mse": "lower"}
IDEALS |= {"usage": "higher", "perplexity": "higher"}
IDEALS |= {score: "higher" for metric in DISENTANGLEMENT.values() for score in metric.scores}
IDEALS |= {score: better for scores in RECONSTRUCTION_SCORES.values() for score, better in scores.items()}
COMMON = ("floor", "num_draws")  # in a score's protocol, but not worth a footnote


def results_table(results: dict[str, Any], title: str) -> Group:
    """Scores down, the model and what it is held against across."""
    columns = {title: results["scores"]}
    columns |= {name: scores for name, scores in results["baselines"].items() if len(scores) > 1}
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    rows = dict.fromkeys(score for scores in columns.values() for score in scores)
    cells: dict[str, list[str]] = {name: [] for name in columns}
    for score in rows:
        tiny = all(abs(scores[score]["value"]) < 0.01 for scores in columns.values() if score in scores)
        for name, scores in columns.items():
            cells[name].append(cell(scores.get(score), spread=name == title, tiny=tiny))
    table.add_column("score", no_wrap=True)
    for name, column in cells.items():
        # Headings are broken between words only, so that the table fits 80 columns.
        width = max(map(len, [*name.split(), *column]))
        table.add_column(name, justify="right", style="bold" if name == title else "", width=width)
    for number, score in enumerate(rows):
        table.add_row(f"{score} {direction(score)}", *(column[number] for column in cells.values()))
    return Group(table, *(Text(line, style="dim") for line in footnotes(results)))


def cell(entry: dict[str, Any] | None, spread: bool, tiny: bool) -> str:
    """A value, with its standard deviation over draws; in powers of ten where the whole row is tiny."""
    if entry is None:
        return ""
    value, std = entry["value"], entry["std"]
    text = f"{value:.1e}" if tiny else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"
    return f"{text}±{std:.0e}" if spread and std and tiny else f"{text}±{std:.3f}" if spread and std else text


def direction(score: str) -> str:
    """Which way is better: an arrow, or the ideal value.

    >>> direction("fid"), direction("coverage"), direction("two_sample")
    ('↓', '↑', '→0.5')
    """
    better = IDEALS.get(score, "")
    return {"lower": "↓", "higher": "↑", "": ""}[better] if isinstance(better, str) else f"→{better:g}"


def footnotes(results: dict[str, Any]) -> list[str]:
    """The protocol in words, and what was left out."""
    p = results["protocol"]
    lines = [f"{p['dataset']}, {p['split']}; {p['weights']} weights of step {p['step']:,}; seed {p['seed']}"]
    if "num_samples" in p:
        counts = f"{p['num_samples']:,} generated against as many real samples, {p['num_draws']} draw(s)"
        lines.append(f"{counts}; features: {p['extractor']}")
        sampler = ", ".join(f"{k} {v}" for k, v in (p["sampler"] or {}).items())
        lines.append(f"sampler: {sampler}")
    specific: dict[str, list[str]] = {}
    for name, entry in results["scores"].items():
        about = {k: v for k, v in entry["protocol"].items() if v is not None and k not in COMMON}
        specific.setdefault(", ".join(f"{k} {short(v)}" for k, v in about.items()), []).append(name)
    lines += [f"{', '.join(names)}: {about}" for about, names in specific.items() if about]
    for name, scores in results["baselines"].items():
        if len(scores) == 1:
            lines += [f"{score} of a {name}: {entry['value']:.3f}" for score, entry in scores.items()]
    lines += [f"left out: {name} ({reason})" for name, reason in results["skipped"].items()]
    return lines


def short(value: Any) -> str:
    """A number with few digits; anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
