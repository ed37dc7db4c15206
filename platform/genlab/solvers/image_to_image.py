"""Data like those given, with a trained denoiser and no retraining."""

import torch
from torch import Tensor

from genlab.core import Condition, RandomStreams, require
from genlab.probability import Denoises
from genlab.solvers.solver import Solver


def image_to_image(
    denoiser: Denoises,
    x: Tensor,
    strength: float,
    *,
    solver: Solver,
    condition: Condition | None = None,
    rng: RandomStreams,
) -> Tensor:
    """Data like x: noise is added to x up to a level, from which the solver walks back (SDEdit).

    Args:
        denoiser: of the model, guided or not.
        x: data, (B, ...), or a sketch of them.
        strength: sigma / (alpha + sigma) of the noise, in [0, 1], which is t on the linear path: 0 gives x back, 1
            forgets it.
        solver: whose grid is used from there on.
        condition: of the samples.
        rng: one stream per sample.

    Raises:
        UserError: strength outside [0, 1].

    Source: Meng et al. 2022, algorithm 1, whose t_0 is the time of that noise.
    """
    require(0 <= strength <= 1, "strength", strength, "a number in [0, 1]", "0.6 keeps a sketch's outline")
    path, rng = denoiser.path, rng.to(x.device)
    level = torch.tensor(strength, dtype=torch.float64) / (1 - strength) if strength < 1 else torch.inf
    start = path.t_max if strength == 1 else min(float(path.time_of_noise_level(level)), path.t_max)
    if strength == 0 or start <= path.t_min:
        return x
    grid = solver.grid.times(path, solver.num_steps)
    times = torch.cat([grid.new_tensor([start]), grid[grid < start * (1 - 1e-6)]])
    x_t = path.sample(x, rng.normal(x.shape[1:]).to(x), x.new_full((len(x),), start))
    *_, end = solver.walk(denoiser, x_t, times, condition=condition, rng=rng)
    return end
