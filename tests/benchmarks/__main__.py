"""Speed beside peers, one benchmark after another; one JSON of all results and a table made from it.

    python -m tests.benchmarks
    python -m tests.benchmarks ema frechet --out runs/benchmarks.json --markdown README.md
    python -m tests.benchmarks --show tests/benchmarks/results.json --markdown README.md

A peer that is not installed is named in its row; `pip install -e '.[peers]'` brings them all. --markdown writes
the table to a file, between the marks `<!-- benchmarks -->` and `<!-- end of benchmarks -->` where it has them.
"""

import argparse
import importlib
import json
import logging
import time
import warnings
from pathlib import Path

from rich.console import Console
from rich.table import Table

from genlab.experiments.provenance import git_commit
from tests.benchmarks.measure import Neighbours, machine
from tests.benchmarks.table import COLUMNS, Results, caption, rows, write_markdown

NAMES = (
    "ema",
    "loading",
    "frechet",
    "training_step",
    "unet",
    "memory",
    "sampling",
    "solver_step",
    "transport",
    "quantisers",
    "decoding",
    "gan_step",
    "ddp",
    "wandb",
    "start",
)
QUIET = 0.1  # of the machine, for other processes


def measure(names: list[str], out: Path) -> Results:
    """Run benchmarks, writing all results so far after each; `out` keeps those that this machine gave before."""
    import lightning.pytorch  # sets its own loggers' levels

    logging.getLogger(lightning.pytorch.__name__).setLevel(logging.WARNING)
    results: Results = {"machine": machine(), "benchmarks": {}}
    if out.is_file() and (before := json.loads(out.read_text()))["machine"] == results["machine"]:
        results = before
    for position, name in enumerate(names, 1):
        print(f"[{position}/{len(names)}] {name} ...", end=" ", flush=True)
        start = time.perf_counter()
        with Neighbours() as others:
            found = importlib.import_module(f"tests.benchmarks.bench_{name}").run()
        seconds = time.perf_counter() - start
        print(f"{seconds:.0f} s", flush=True)
        if others.share is not None and others.share > QUIET:
            print(
                f"    other processes took {others.share:.0%} of this machine meanwhile: repeat it when it is quiet"
            )
        about = {"commit": git_commit(), "date": time.strftime("%Y-%m-%d", time.gmtime()), "seconds": seconds}
        about |= {"share_of_others": others.share, "rows": [row.record() for row in found]}
        results["benchmarks"] = {n: about if n == name else results["benchmarks"].get(n) for n in NAMES}
        results["benchmarks"] = {n: kept for n, kept in results["benchmarks"].items() if kept}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(results, indent=1) + "\n")
    return results


def show(results: Results) -> None:
    """Print the table, as wide as the terminal."""
    table = Table(*COLUMNS, caption=caption(results), caption_justify="left")
    for row in rows(results):
        table.add_row(*row[:-1], row[-1].split(":")[0])  # what sets the limit is in the markdown
    Console().print(table)


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=form
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    add("--out", type=Path, default=Path("runs/benchmarks.json"), help="the results (default: %(default)s)")
    add("--markdown", type=Path, metavar="FILE", help="write the table there, too")
    add("--show", type=Path, metavar="FILE.json", help="measure nothing; take these results")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NAMES]
    if unknown:
        parser.error(f"NAME: got {unknown[0]!r}, expected some of {', '.join(NAMES)}")
    warnings.filterwarnings("ignore", module="lightning")
    if arguments.show:
        results = json.loads(arguments.show.read_text())
    else:
        results = measure(arguments.names or list(NAMES), arguments.out)
    show(results)
    if not arguments.show:
        print(f"written to {arguments.out}")
    if arguments.markdown:
        write_markdown(results, arguments.markdown)
        print(f"table written to {arguments.markdown}")


if __name__ == "__main__":
    main()
