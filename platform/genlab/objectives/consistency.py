"""Consistency models: all points of a trajectory of the probability-flow ODE map to its origin, in one step."""

from abc import abstractmethod

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, Frozen, expand_like, require, require_same_data
from genlab.objectives.denoising import DenoiserObjective
from genlab.objectives.discretisation import Discretisation
from genlab.objectives.same_draws import SameDraws
from genlab.probability import Denoiser, GaussianPath, Prediction


class Consistency(DenoiserObjective):
    """L = E (d(f(x_t, t), sg f(x_s, s)) / (sigma_t - sigma_s)), s < t neighbours on the same trajectory.

    f is the denoiser's estimate of x_0, and f(x, s) = x / alpha at the lowest level. d is the pseudo-Huber distance
    sqrt(|a - b|^2 + c^2) - c, and the target comes from the same weights and dropout, without an average.

    Args:
        levels: the noise levels s and t.
        huber: c over the square root of the number of values.

    Raises:
        UserError: huber is negative; in `prepare`, a prediction whose estimate of x_0 is not x_t where there is no
            noise, or levels that the path does not reach.

    Source: Song et al. 2023, definition 1 and eq. 7; Song and Dhariwal 2023, eq. 7-8 and table 1.
    """

    to_origin = True
    has_score = False

    def __init__(self, levels: Discretisation, huber: float = 0.00054):
        super().__init__()
        require(huber >= 0, "huber", huber, "0 or more", "the paper's is 0.00054")
        self.levels, self.huber = levels, huber

    def prepare(self, spec: DataSpec, path: GaussianPath, prediction: Prediction) -> None:
        ends = torch.tensor([self.levels.sigma_min, self.levels.sigma_max], dtype=torch.float64)
        t = path.time_of_noise_level(ends)
        inside = path.t_min * (1 - 1e-6) <= float(t[0]) and float(t[1]) <= path.t_max * (1 + 1e-6)
        expected = f"levels of the path, whose times are {path.t_min:g} to {path.t_max:g}"
        require(inside, "sigma_min, sigma_max", ends.tolist(), expected, "change them, or the path's ends")
        # x_0 = (d x_t - sigma pred) / D: what the network adds must vanish with the noise.
        added = (path.sigma(t[:1]) / prediction.determinant(path, t[:1])).abs().item()
        name, expected = type(prediction).__name__, "one whose x_0 is x_t where there is no noise"
        require(
            added < 0.1, "prediction", name, expected, "use EDMPrediction, VPrediction or VelocityPrediction"
        )

    @abstractmethod
    def previous(
        self,
        path: GaussianPath,
        x_0: Tensor,
        eps: Tensor,
        t: Tensor,
        s: Tensor,
        condition: Condition | None,
    ) -> Tensor:
        """x_s on the trajectory of x_t = alpha x_0 + sigma eps."""

    def forward(
        self, denoiser: Denoiser, x_0: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of each sample (B,), and named terms: `distance` before its weight, `levels` of the grid."""
        path = denoiser.path
        low, high, lowest = self.levels(len(x_0))
        s, t = path.time_of_noise_level(low), path.time_of_noise_level(high)
        eps = torch.randn_like(x_0)
        x_t = path.sample(x_0, eps, t)
        draws = SameDraws(x_0.device)
        with torch.no_grad():
            x_s = self.previous(path, x_0, eps, t, s, condition)
            with draws.first():
                target = denoiser(x_s, s, condition).x_0
            target = torch.where(expand_like(lowest, x_s), x_s / expand_like(path.alpha(s), x_s), target)
        with draws.second():
            estimate = denoiser(x_t, t, condition).x_0
        distance = self.distance(estimate, target)
        terms = {"distance": distance.mean(), "levels": self.levels.intervals(self.levels.batches)}
        return distance / (high - low), terms

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """The pseudo-Huber distance, (B,), over the square root of the number of values."""
        # float32 for squares of small differences, also under mixed precision.
        mean = (a - b).float().square().flatten(1).mean(1)
        return (mean + self.huber**2).sqrt() - self.huber


class ConsistencyTraining(Consistency):
    """Consistency without a teacher: x_s has the same data and the same noise as x_t.

    Most of the loss is the spread of x_s given x_t, which no model lowers: samples go on to improve where it does not
    fall, and the best checkpoint can't be chosen by it.

    Source: Song et al. 2023, algorithm 3 and theorem 2; Song and Dhariwal 2023.
    """

    loss_ranks = False

    def previous(
        self,
        path: GaussianPath,
        x_0: Tensor,
        eps: Tensor,
        t: Tensor,
        s: Tensor,
        condition: Condition | None,
    ) -> Tensor:
        return path.sample(x_0, eps, s)


class ConsistencyDistillation(Consistency):
    """Consistency along a trained model's trajectories: x_s is one step of its probability-flow ODE from x_t.

    Args:
        levels: as in `Consistency`; with a teacher, first = last will do.
        teacher: a diffusion model on the same path, whose `flow_step` (Heun's) is taken, under its own guidance.
        huber: as in `Consistency`.

    Raises:
        UserError: as in `Consistency`; in `prepare`, a teacher that has no denoiser, other data or another path.

    Source: Song et al. 2023, algorithm 2, eq. 6.
    """

    def __init__(self, levels: Discretisation, teacher: Frozen, huber: float = 0.00054):
        super().__init__(levels, huber)
        self.teacher = teacher

    def prepare(self, spec: DataSpec, path: GaussianPath, prediction: Prediction) -> None:
        super().prepare(spec, path, prediction)
        model = self.teacher.model
        name = type(model).__name__
        require(hasattr(model, "flow_step"), "teacher", name, "a diffusion model", "pass another run")
        require_same_data("teacher", model.spec, spec, classes=True)
        theirs, ours = model.path.protocol(), path.protocol()
        require(theirs == ours, "teacher", theirs, f"the model's own path, {ours}", "give both the same path")

    def previous(
        self,
        path: GaussianPath,
        x_0: Tensor,
        eps: Tensor,
        t: Tensor,
        s: Tensor,
        condition: Condition | None,
    ) -> Tensor:
        return self.teacher.model.flow_step(path.sample(x_0, eps, t), t, s, condition)
