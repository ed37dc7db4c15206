"""The comparison as one self-contained HTML page; it needs no network and no library."""

import json
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from genlab import __version__
from genlab.core import UserError, require
from genlab.experiments.comparison import Comparison
from genlab.experiments.markup import text
from genlab.experiments.report_curves import curve_data, curves_section
from genlab.experiments.report_rate import rate_section
from genlab.experiments.report_samples import samples_section
from genlab.experiments.report_sweep import sweep_sections
from genlab.experiments.report_tables import config_section, runs_table, scores_section
from genlab.experiments.run_dir import write_atomic

# Ten hues that keep apart on white and on black; further runs get further hues, a golden angle apart.
PALETTE = (
    "#4269d0 #e08214 #d9483b #2fa89a #3c9a4b #d56a9f #8e5bd6 #6d9de0 #9c6b4e #8a8f98".split()  # noqa: SIM905
)


def write_report(comparison: Comparison, out: str | Path) -> Path:
    """Write the page.

    Raises:
        UserError: `out` is no place for a file.
    """
    out = Path(out)
    require(not out.is_dir(), "out", str(out), "a file", "pass --out report.html")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, render(comparison))
    except OSError as error:
        raise UserError(
            f"out: got {str(out)!r}, expected a writable file ({error.strerror}); pass --out FILE"
        ) from error
    return out


def render(comparison: Comparison) -> str:
    """The page as text."""
    assets = resources.files("genlab.experiments") / "report_assets"
    html, css, js = (
        (assets / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    runs = comparison.runs
    colors = [color(number) for number in range(len(runs))]
    title = ", ".join(run.name for run in runs[:3]) + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
    return Template(html).substitute(
        title=text(title),
        subtitle=text(f"{len(runs)} run{'s' if len(runs) > 1 else ''}, by genlab {__version__}"),
        css=css,
        js=js,
        runs=runs_table(runs, colors),
        sweep=sweep_sections(runs),
        scores=scores_section(comparison, colors),
        rate=rate_section(comparison, colors),
        curves=curves_section(runs, colors),
        samples=samples_section(runs, colors),
        config=config_section(comparison, colors),
        data=embedded_json(curve_data(runs, colors)),
    )


def color(number: int) -> str:
    """The colour of a run's curves."""
    return PALETTE[number] if number < len(PALETTE) else f"hsl({number * 137.508 % 360:.0f} 55% 52%)"


def embedded_json(value: Any) -> str:
    """Compact JSON that can stand in a script element whatever strings it holds."""
    raw = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return raw.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
