"""The table of the solvers' accuracy, for README."""

from typing import Any

Results = dict[str, Any]


def markdown(results: Results) -> str:
    """A row for each solver: its order, and its distance over the floor on each path.

    >>> found = {"theory": 2, "weak": False, "orders": {"A": 1.98, "B": 2.01}, "nfe": 99, "swd": {"A": 0.06}}
    >>> print(markdown({"paths": ["A"], "floor": 0.05, "noise": 0.07, "num": 9, "solvers": {"Heun": found}}))
    | solver | order, theory | order, observed | evaluations | A |
    | --- | --- | --- | --- | --- |
    | Heun | 2 | 1.98 to 2.01 | 99 | 1.20 |
    | data and data: below | - | - | - | 1.40 |
    """
    paths = results["paths"]
    head = ["solver", "order, theory", "order, observed", "evaluations"]
    head += [path.removesuffix("Path") for path in paths]
    over = 1 / results["floor"]
    body = [
        [name, *_order(found), f"{found['nfe']:.0f}", *(f"{over * found['swd'][path]:.2f}" for path in paths)]
        for name, found in results["solvers"].items()
    ]
    body += [["data and data: below", "-", "-", "-", *[f"{over * results['noise']:.2f}"] * len(paths)]]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def _order(found: dict[str, Any]) -> tuple[str, str]:
    if found["theory"] is None:
        return "-", "-"
    rates = found["orders"].values()
    return f"{found['theory']}{', weak' * found['weak']}", f"{min(rates):.2f} to {max(rates):.2f}"
