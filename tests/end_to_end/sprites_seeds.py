"""Disentanglement on sprites over seeds: trains, scores on the test split, writes means and deviations as JSON.

    python -m tests.end_to_end.sprites_seeds --out sprites.json

Runs that are done are taken as they are, so that it can be stopped and started again.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genlab.experiments.run_dir import RunDir

CONFIGS = Path(__file__).parents[2] / "configs" / "vae"
NAMES = ("vae_sprites", "beta_tcvae_sprites", "factor_vae_sprites")
METRICS = "beta_vae,factor_vae,mig,sap,dci,modularity"
Command = Callable[[list[str]], int]


def scores_of(
    name: str, seed: int, root: Path, command: Command, flags: Sequence[str] = ()
) -> dict[str, float]:
    """Scores of one run by name, trained and evaluated where it is not yet.

    Args:
        name: of the config.
        seed: of the run.
        root: of run directories.
        command: runs the command line with these words and gives its exit status.
        flags: more of them for `fit`.

    Raises:
        RuntimeError: a command failed.
    """
    run = RunDir(root / name / f"seed_{seed}")
    fit = [
        "fit",
        "--config",
        str(CONFIGS / f"{name}.yaml"),
        "--run.root",
        str(root),
        "--run.id",
        f"seed_{seed}",
    ]
    fit += ["--seed_everything", str(seed), "--ckpt_path", "last", "--run.wandb=off", *flags]
    if not run.results.is_file():
        for words in (fit, ["evaluate", "--ckpt", str(run.root), "--metrics", METRICS]):
            if status := command(words):
                raise RuntimeError(f"{' '.join(words)}: exit status {status}")
    results = json.loads(run.results.read_text())
    return {name: score["value"] for name, score in results["scores"].items()}


def measure(
    seeds: Sequence[int],
    root: Path,
    command: Command,
    names: Sequence[str] = NAMES,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """Of each config and score: its values, their mean and, of several seeds, the standard deviation (n - 1)."""
    table = {}
    for name in names:
        rows = [scores_of(name, seed, root, command, flags) for seed in seeds]
        table[name] = {
            score: {
                "values": [row[score] for row in rows],
                "mean": statistics.fmean(row[score] for row in rows),
                "std": statistics.stdev(row[score] for row in rows) if len(rows) > 1 else None,
            }
            for score in rows[0]
        }
    return {"seeds": list(seeds), "split": "test", "scores": table}


def main() -> None:
    from genlab.cli.main import run

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--configs", nargs="+", default=list(NAMES), help="names in configs/vae")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="of run directories")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    args = parser.parse_args()
    found = measure(args.seeds, args.root, run, args.configs)
    args.out.write_text(json.dumps(found, indent=2) + "\n")
    for name, scores in found["scores"].items():
        print(name, " ".join(f"{score} {value['mean']:.3f}" for score, value in scores.items()))


if __name__ == "__main__":
    main()
