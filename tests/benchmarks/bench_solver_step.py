"""A solver step's own cost beside a step of diffusers' scheduler, with a network that costs nothing.

Both turn the same predicted noise into data and go 20 steps; a step's time is a 20th of that. The limit is one
sum of two tensors of the state's size, which no step goes without.
"""

import torch
from torch import Tensor

from genlab.core import RandomStreams
from genlab.probability import Denoiser, LinearBetaPath, NoisePrediction
from genlab.solvers import DDIM, DPMSolverPP, EDMStochastic, Solver, UniPC
from tests.benchmarks.measure import Row, median_seconds

NUM_STEPS, AIM = 20, 0.3
SHAPES = {"64 images of 3x32x32": (64, 3, 32, 32), "64 digits of 1x8x8": (64, 1, 8, 8)}


def pairs() -> dict[str, tuple[Solver, object]]:
    """Our solver and diffusers' scheduler of each kind."""
    try:
        import diffusers
    except ImportError:
        diffusers = None

    def scheduler(name: str, **settings: object) -> object:
        return diffusers and getattr(diffusers, name)(**settings)

    return {
        "DDIM": (DDIM(NUM_STEPS), scheduler("DDIMScheduler", clip_sample=False)),
        "DPM-Solver++ 2M": (DPMSolverPP(NUM_STEPS), scheduler("DPMSolverMultistepScheduler")),
        "UniPC-2": (UniPC(NUM_STEPS), scheduler("UniPCMultistepScheduler")),
        "Heun of noise levels": (EDMStochastic(NUM_STEPS), scheduler("HeunDiscreteScheduler")),
    }


PATH, PREDICTION = LinearBetaPath(), NoisePrediction()


def ours(solver: Solver, x: Tensor, output: Tensor) -> None:
    """One walk from x, on a path that was walked before: a scheduler, too, keeps its table of alphas."""
    denoiser = Denoiser(lambda x_t, t, condition: output, PATH, PREDICTION)
    times = solver.grid.times(denoiser.path, NUM_STEPS)
    for _ in solver.walk(denoiser, x, times, rng=RandomStreams(0, len(x))):
        pass


def theirs(scheduler, x: Tensor, output: Tensor) -> None:
    """The same with a scheduler, which asks twice per step of Heun's."""
    scheduler.set_timesteps(NUM_STEPS)
    for t in scheduler.timesteps:
        x = scheduler.step(output, t, x).prev_sample


def run(rounds: int = 150) -> list[Row]:
    """Medians of both sides."""
    rows = []
    for name, (solver, scheduler) in pairs().items():
        for size, shape in SHAPES.items():
            x, output = torch.randn(shape), torch.randn(shape)
            sides = {"ours": lambda: ours(solver, x, output), "limit": lambda: x + output}  # noqa: B023
            if scheduler is not None:
                sides["theirs"] = lambda: theirs(scheduler, x, output)  # noqa: B023
            seconds = median_seconds(sides, rounds, warmup=2)
            rows.append(
                Row(
                    name=f"a step of {name}, {size}",
                    unit="us",
                    ours=1e6 * seconds["ours"] / NUM_STEPS,
                    peer="diffusers' scheduler",
                    theirs=None if scheduler is None else 1e6 * seconds["theirs"] / NUM_STEPS,
                    limit=1e6 * seconds["limit"],
                    limit_by="one sum of two tensors",
                    aim=AIM,
                )
            )
    return rows
