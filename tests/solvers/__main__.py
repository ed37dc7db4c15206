"""How accurate each solver is where the truth is known: a minute on one CPU core.

    python -m tests.solvers
    python -m tests.solvers --show tests/solvers/accuracy.json

Writes tests/solvers/accuracy.json, and from it README's table between its marks; --show measures nothing.
"""

import argparse
import json
import time
from pathlib import Path

from genlab.experiments.provenance import git_commit
from genlab.experiments.published_tables import with_tables_of
from tests.solvers.distances import NUM, PATHS, REPEATS, distance_to_data, floor
from tests.solvers.entries import SOLVERS, Entry
from tests.solvers.orders import ENDS, order_of
from tests.solvers.table import Results, markdown

RESULTS = Path(__file__).parent / "accuracy.json"
README = Path(__file__).parents[2] / "README.md"


def measured(entry: Entry) -> Results:
    """One solver's orders, and its distances at as many steps as cost 100 evaluations."""
    orders = {} if entry.order is None else {type(path).__name__: order_of(entry, path) for path in ENDS}
    solver = entry.make(entry.steps)
    distances = {type(path).__name__: distance_to_data(solver, path) for path in PATHS}
    found = {"theory": entry.order, "weak": entry.weak, "orders": orders}
    return found | {"nfe": solver.nfe, "solver": solver.protocol(), "swd": distances}


def measure() -> Results:
    """All of them, and what the distance is between data and data."""
    start, (mean, noise) = time.perf_counter(), floor()
    about = {"commit": git_commit(), "num": NUM, "repeats": REPEATS, "floor": mean, "noise": noise}
    solvers = {}
    for name, entry in SOLVERS.items():
        if entry.steps is not None:
            solvers[name] = measured(entry)
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    return about | {"paths": [type(path).__name__ for path in PATHS], "solvers": solvers}


def renewed(readme: str, results: Path = RESULTS) -> str:
    """README's text with the table made anew from the results."""
    return with_tables_of("solvers", readme, results.parent, markdown)


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.solvers", description=__doc__, formatter_class=form
    )
    parser.add_argument("--show", action="store_true", help="measure nothing; take what was measured before")
    if not parser.parse_args().show:
        RESULTS.write_text(json.dumps(measure(), indent=1) + "\n")
    print(markdown(json.loads(RESULTS.read_text())))
    README.write_text(renewed(README.read_text()))


if __name__ == "__main__":
    main()
