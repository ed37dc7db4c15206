"""`python -m genlab.experiments.published [RUN...]`: what the shipped configs reached, from their runs.

Each run's results.json and pictures are kept under configs/results; the line "Reached here" of its config and
README's tables are then written from what is kept there. Without runs, only the lines and tables are written.
"""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlab.core import require
from genlab.experiments.published_curves import keep_curves, with_curves
from genlab.experiments.published_likelihoods import with_likelihoods
from genlab.experiments.published_seeds import with_seeds
from genlab.experiments.run_dir import RunDir
from genlab.experiments.words import clock

Record = dict[str, Any]
PICTURES = ("latest.png", "path.gif")
COLUMNS = {
    "judge": ("judge", "{:.3f}"),
    "fid_ratio": ("FID / floor", "{:.2f}"),
    "swd_ratio": ("SWD / floor", "{:.2f}"),  # of vectors
    "two_sample": ("two-sample test", "{:.3f}"),
    "memory": ("memory", "{:.3f}"),
    "copies": ("copies", "{:.1%}"),
    "bpd": ("bits/dim", "{:.3f}"),
    "elbo_bpd": ("bits/dim by ELBO", "{:.3f}"),
    "psnr": ("PSNR", "{:.2f} dB"),  # of reconstructions
    "denoised_psnr": ("PSNR, denoised", "{:.2f} dB"),
    "rate_bits": ("bits/image", "{:.1f}"),
    "distortion_mse": ("reconstruction MSE", "{:.4f}"),
    "usage": ("codes used", "{:.0%}"),
    "mig": ("MIG", "{:.3f}"),
    "factor_vae_score": ("FactorVAE score", "{:.3f}"),
    "dci_disentanglement": ("DCI disentanglement", "{:.3f}"),
}


def keep(run: RunDir, folder: Path, shown: str) -> Path:
    """Copy a run's results and curves to `folder`, named by its experiment, and those pictures that a text shows.

    Raises:
        UserError: the run has no results.json.
    """
    require(run.results.is_file(), "run", str(run.root), "an evaluated run", "run lightning evaluate first")
    meta = run.read_meta()
    about = {key: meta[key] for key in ("experiment", "family", "dataset", "seconds", "provenance")}
    path = folder / f"{meta['experiment']}.json"
    path.write_text(json.dumps({"run": about, **json.loads(run.results.read_text())}, indent=1) + "\n")
    for name in PICTURES:
        picture = folder / f"{meta['experiment']}_{name}"
        if picture.name in shown:
            shutil.copyfile(run.samples / name, picture)
    keep_curves(run, meta["experiment"], folder / "curves")
    return path


def kept(folder: Path) -> list[Record]:
    """What `keep` has kept, by name."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def cells(scores: dict[str, Any]) -> dict[str, str]:
    """The scores of a table's columns as words, a likelihood with its method."""
    found = {key: form.format(scores[key]["value"]) for key, (_, form) in COLUMNS.items() if key in scores}
    if "bpd" in found:
        found["bpd"] += f" ({scores['bpd']['protocol']['method'].split(' by ')[0]})"  # without its settings
    return found


def reached(record: Record) -> list[str]:
    """The comment of a config: its scores, and how they were obtained."""
    run, protocol = record["run"], record["protocol"]
    scores = [f"{COLUMNS[key][0]} {text}" for key, text in cells(record["scores"]).items()]
    draws, sampler = protocol.get("num_draws"), protocol["sampler"]
    how = [
        f"{protocol['split']} split" + (f", {draws} x {protocol['num_samples']:,} samples" if draws else "")
    ]
    how += [f"{protocol['weights']} weights"]
    how += [sampled(sampler)] if sampler and (sampler["nfe"] is None or sampler["nfe"] > 1) else []
    text = (
        f"Reached here: {', '.join(scores)}; by lightning fit with this file, {clock(run['seconds'])} on "
        f"{run['provenance']['device']}, and lightning evaluate ({', '.join(how)}): "
        f"configs/results/{run['experiment']}.json."
    )
    return textwrap.wrap(text, 118, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False)


def sampled(sampler: dict[str, Any]) -> str:
    """A solver and its evaluations, or the tolerance of one that takes as many as it needs.

    >>> sampled({"solver": "Heun", "nfe": 23}), sampled({"solver": "DormandPrince", "nfe": None, "rtol": 1e-5})
    ('Heun with 23 evaluations', 'DormandPrince with a tolerance of 1e-05')
    >>> sampled({"solver": "Heun", "nfe": 46, "guidance_scale": 1.1})
    'Heun with 46 evaluations, guidance 1.1'
    """
    if sampler["nfe"] is not None:
        return f"{sampler['solver']} with {sampler['nfe']:g} evaluations{guided(sampler)}"
    return f"{sampler['solver']} with a tolerance of {sampler['rtol']:g}{guided(sampler)}"


def evaluations(sampler: dict[str, Any] | None) -> str:
    """How many evaluations of networks a sample took, and under which guidance.

    >>> evaluations({"nfe": 46, "guidance_scale": 1.1}), evaluations({"nfe": 1}), evaluations(None)
    ('46, guidance 1.1', '1', '-')
    """
    if sampler is None:
        return "-"
    return f"{'adaptive' if sampler['nfe'] is None else format(sampler['nfe'], 'g')}{guided(sampler)}"


def guided(sampler: dict[str, Any]) -> str:
    """Words for guidance, where there is any: scales by the condition, and what else guides."""
    scale = sampler.get("guidance_scale", 1)
    found = [f"guidance {scale:g}"] if scale != 1 else []
    found += [f"{g['guidance']} {g['scale']:g}" for g in sampler.get("guidance", ()) if "scale" in g]
    return "".join(f", {words}" for words in found)


def with_reached(text: str, record: Record) -> str:
    """A config's text with its comment renewed."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("# Reached here:"))
    last = first + 1
    while lines[last].startswith("#   "):
        last += 1
    return "\n".join([*lines[:first], *reached(record), *lines[last:]]) + "\n"


def table(records: Iterable[Record]) -> str:
    """Records of one data set as markdown, their baselines below; a column for every score that one has."""
    records = list(records)
    rows = [
        (
            f"`{r['run']['experiment']}`",
            clock(r["run"]["seconds"]),
            evaluations(r["protocol"]["sampler"]),
            cells(r["scores"]),
        )
        for r in records
    ]
    baselines: dict[str, dict[str, str]] = {}
    for name, scores in ((name, scores) for r in records for name, scores in r["baselines"].items()):
        baselines.setdefault(name, {}).update(cells(scores))
    rows += [(name, "", "", found) for name, found in baselines.items() if found]
    columns = [key for key in COLUMNS if any(key in row[3] for row in rows)]
    head = ["", "training", "evaluations", *(COLUMNS[key][0] for key in columns)]
    body = [[name, time, nfe, *(found.get(key, "-") for key in columns)] for name, time, nfe, found in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *body])


def with_tables(text: str, records: list[Record]) -> str:
    """README's text with every table between its two marks renewed."""
    for dataset in {record["run"]["dataset"] for record in records}:
        mark, end = f"<!-- results: {dataset} -->", "<!-- end of results -->"
        if mark in text:
            before, rest = text.split(mark, 1)
            new = table(record for record in records if record["run"]["dataset"] == dataset)
            text = f"{before}{mark}\n{new}\n{end}{rest.split(end, 1)[1]}"
    return text


def renewed(root: Path) -> dict[Path, str]:
    """The files that speak of results, as they should be."""
    folder = root / "configs" / "results"
    records = kept(folder)
    readme = with_likelihoods(with_tables((root / "README.md").read_text(), records), folder)
    readme = with_seeds(with_curves(readme, folder / "curves"), folder / "seeds")
    texts = {root / "README.md": readme}
    for record in records:
        (config,) = (root / "configs").glob(f"*/{record['run']['experiment']}.yaml")
        texts[config] = with_reached(config.read_text(), record)
    return texts


def main(runs: list[str]) -> None:
    root = Path.cwd()
    readme = (root / "README.md").read_text()
    for run in runs:
        print(keep(RunDir(Path(run)), root / "configs" / "results", readme))
    for path, text in renewed(root).items():
        path.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
