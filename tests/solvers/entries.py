"""The solvers whose accuracy is measured, and what the theory says of each."""

from collections.abc import Callable
from dataclasses import dataclass

from genlab.solvers import (
    DDIM,
    Ancestral,
    DormandPrince,
    DPMSolverPP,
    DPMSolverPPSDE,
    EDMStochastic,
    Euler,
    EulerMaruyama,
    Heun,
    LogSNRGrid,
    PredictorCorrector,
    Solver,
    UniPC,
)


@dataclass(frozen=True)
class Entry:
    """A solver of any number of steps, its order by the theory, and how many steps cost at most 100 evaluations.

    The order is of trajectories, or of moments where steps draw noise (`weak`); None where none is defined. Steps
    are None where another entry takes the same step.
    """

    make: Callable[[int], Solver]
    order: int | None
    steps: int | None
    weak: bool = False


SOLVERS = {  # UniPC's corrector adds one to its p
    "Euler": Entry(lambda n: Euler(n, LogSNRGrid()), 1, 100),
    "DDIM": Entry(lambda n: DDIM(n, LogSNRGrid()), 1, 100),
    "DDIM, eta 1": Entry(lambda n: DDIM(n, LogSNRGrid(), eta=1.0), 1, None, weak=True),
    "Ancestral": Entry(lambda n: Ancestral(n, LogSNRGrid()), 1, 100, weak=True),
    "Euler-Maruyama": Entry(lambda n: EulerMaruyama(n, LogSNRGrid()), 1, 100, weak=True),
    "predictor-corrector": Entry(lambda n: PredictorCorrector(EulerMaruyama(n, LogSNRGrid())), None, 50),
    "SDE-DPM-Solver++ 1": Entry(lambda n: DPMSolverPPSDE(n, LogSNRGrid(), order=1), 1, None, weak=True),
    "SDE-DPM-Solver++ 2M": Entry(lambda n: DPMSolverPPSDE(n, LogSNRGrid()), 2, 100, weak=True),
    "EDM, churn 10": Entry(lambda n: EDMStochastic(n, LogSNRGrid(), churn=10.0), 2, 50, weak=True),
    "EDM's Heun": Entry(lambda n: EDMStochastic(n, LogSNRGrid()), 2, 50),
    "EDM's Heun, Karras": Entry(EDMStochastic, None, 50),
    "Heun": Entry(lambda n: Heun(n, LogSNRGrid()), 2, 50),
    "DPM-Solver++ 2M": Entry(lambda n: DPMSolverPP(n, LogSNRGrid()), 2, 100),
    "DPM-Solver++ 3M": Entry(lambda n: DPMSolverPP(n, LogSNRGrid(), order=3), 3, 100),
    "UniPC-2 bh1": Entry(lambda n: UniPC(n, LogSNRGrid(), 2, "bh1"), 3, None),
    "UniPC-2": Entry(lambda n: UniPC(n, LogSNRGrid(), 2), 3, 100),
    "UniPC-3": Entry(lambda n: UniPC(n, LogSNRGrid(), 3), 4, 100),
    "Dormand-Prince 1e-4": Entry(lambda n: DormandPrince(1e-4, 1e-4), None, 1),
}
FIRST_ORDER = ("Euler", "DDIM", "Ancestral", "Euler-Maruyama", "predictor-corrector")
