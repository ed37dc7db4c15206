"""Likelihoods side by side, as README shows them: a table of kept results."""

from pathlib import Path
from typing import Any

from genlab.experiments.published_tables import with_tables_of


def likelihood_table(*records: dict[str, Any]) -> str:
    """Bits per dimension with standard errors, of what and by what, and their gap to the last record's, as markdown.

    A dequantised density bounds the probability of discrete data: log P(x) >= E_u log p(x + u), u uniform over a level
    (Theis et al. 2016, section 3.1), so a part of the gap to a discrete model is the bound's.

    >>> def record(name, value, measure):
    ...     about = {"measure": measure, "method": "ODE by Heun, exact trace", "likelihood": "bound"}
    ...     bpd = {"value": value, "protocol": {**about, "standard_error": 0.01}}
    ...     return {"run": {"experiment": name}, "scores": {"bpd": bpd}}
    >>> print(likelihood_table(record("a", 2.1, "dequantised"), record("b", 1.8, "discrete")))
    |  | probability | by | bits/dim | bits/dim by ELBO | above `b` |
    | --- | --- | --- | --- | --- | --- |
    | `a` | dequantised | ODE (bound) | 2.100 ± 0.010 | - | 0.300 |
    | `b` | discrete | ODE (bound) | 1.800 ± 0.010 | - | - |
    """
    last = records[-1]
    rows = [["", "probability", "by", "bits/dim", "bits/dim by ELBO", f"above `{last['run']['experiment']}`"]]
    rows.append(["---"] * len(rows[0]))
    for record in records:
        bpd = record["scores"]["bpd"]
        about, gap = bpd["protocol"], bpd["value"] - last["scores"]["bpd"]["value"]
        by = f"{about['method'].split(' by ')[0]} ({about['likelihood']})"
        bits = [_bits(record["scores"].get(key)) for key in ("bpd", "elbo_bpd")]
        name = f"`{record['run']['experiment']}`"
        rows.append([name, about["measure"], by, *bits, "-" if record is last else f"{gap:.3f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def with_likelihoods(text: str, folder: Path) -> str:
    """A text with every table between marks, `<!-- likelihoods: NAME NAME ... -->`, renewed from NAME.json of each."""
    return with_tables_of("likelihoods", text, folder, likelihood_table)


def _bits(score: dict[str, Any] | None) -> str:
    return f"{score['value']:.3f} ± {score['protocol']['standard_error']:.3f}" if score else "-"
