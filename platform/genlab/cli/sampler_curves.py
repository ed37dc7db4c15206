"""`lightning evaluate --solvers` and `--guidance-scales`: curves in the place of one row of scores."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--solvers", metavar="NAME,...", help="compare solvers, as in ddim,heun,dpmpp_2m, at each --nfe")
    add(
        "--nfe",
        default="5,10,20,50",
        metavar="N,...",
        help="with --solvers: most network evaluations per sample (default: %(default)s)",
    )
    add(
        "--guidance-scales",
        "--guidance_scales",
        metavar="S,...",
        help="agreement against quality over the scale of guidance, as in 1,1.5,2,3",
    )


def wanted(args: argparse.Namespace) -> bool:
    """Whether a curve is asked for."""
    return args.solvers is not None or args.guidance_scales is not None


def run(args: argparse.Namespace, request: Any, loaded: Any) -> int:
    """Measure, print, and write {solvers,guidance}.{json,png} into the run's directory, or beside --out."""
    from rich.console import Console

    from genlab.cli.bar import bar
    from genlab.core import UserError
    from genlab.experiments import sampler_curve_pictures as pictures
    from genlab.experiments.evaluation import write_results
    from genlab.experiments.sampler_curves import guidance_curve, solver_curve
    from genlab.experiments.world import World

    if World.current().size > 1:
        raise UserError("solvers: got several processes, expected one for a curve; start it without srun -n")
    if request.reference is not None:
        raise UserError("reference: got a folder, expected none with a curve; leave --reference out")
    budgets = numbers("nfe", args.nfe, int)
    scales = numbers("guidance_scales", args.guidance_scales, float) if args.guidance_scales else []
    names = [name.strip() for name in args.solvers.split(",")] if args.solvers else []
    jobs: list[tuple[str, Callable[[], Any], Callable[[Any, Path], None]]] = []
    if names:
        work = lambda: solver_curve(loaded, request, names, budgets, bar)  # noqa: E731
        jobs.append(("solvers", work, pictures.plot_solvers))
    if scales:
        jobs.append(
            ("guidance", lambda: guidance_curve(loaded, request, scales, bar), pictures.plot_guidance)
        )
    console = Console()
    for kind, work, plot in jobs:
        results = work()
        out = place(args.out, loaded, kind, len(jobs), results["protocol"].get("changed", {}))
        write_results(results, out)
        plot(results, out.with_suffix(".png"))
        console.print(pictures.curve_table(results))
        console.print(f"written to {out} and {out.with_suffix('.png').name}", soft_wrap=True)
    return 0


def numbers(name: str, text: str, kind: type[Number]) -> list[Number]:
    """The numbers of a list with commas.

    >>> numbers("nfe", "5, 10", int)
    [5, 10]

    Raises:
        UserError: one is no finite number, or an nfe is below 1.
    """
    from genlab.core import invalid

    remedy = f"as in --{name.replace('_', '-')} {'5,10,20' if kind is int else '1,1.5,2'}"
    try:
        found = [kind(word) for word in text.split(",")]
    except ValueError as error:
        raise invalid(name, text, "numbers with commas between", remedy) from error
    if bad := [number for number in found if not math.isfinite(number)]:
        raise invalid(name, bad[0], "finite numbers", remedy)
    if kind is int and min(found) < 1:
        raise invalid(name, min(found), "at least 1 evaluation", remedy)
    return found


def place(out: Path | None, loaded: Any, kind: str, num_kinds: int, changed: dict[str, str]) -> Path:
    """Where the results of a kind of curve go; those under other settings than the run's beside its own."""
    from genlab.experiments.changes import suffix

    if out is not None:
        return out if num_kinds == 1 else out.with_stem(f"{out.stem}_{kind}")
    return (loaded.run_dir.root if loaded.run_dir else Path()) / f"{kind}{suffix(changed)}.json"
