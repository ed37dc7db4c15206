"""Score matching without a target: by the divergence of the model's own score (Hyvarinen 2005)."""

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from genlab.core import Condition, DataSpec, expand_like, mean_per_sample, require, sum_per_sample
from genlab.objectives.denoising import DenoiserObjective
from genlab.objectives.field_divergence import Pull, exact_divergence, projected_divergence, with_pullback
from genlab.objectives.weightings import NoiseSpace, Weighting
from genlab.probability import Denoiser, GaussianPath, Prediction, TimeDistribution, UniformTime


class ScoreMatching(DenoiserObjective):
    """L = E_{t, x_t} w_s(t) J(s(x_t, t)) / D for the score s = -eps(x_t, t) / sigma(t) of the noised data.

    With J = |s|^2 + 2 div s it is `Denoising` of the same weighting up to a constant, as E J = E |s - grad log p|^2
    - E |grad log p|^2; but no noise is a target, so that x_t may come from elsewhere, at the price of a second
    derivative of the network. w_s is the weighting, of the prediction's error, carried over to the score's:
    w_s = w (D sigma / alpha)^2, sigma^2 for `NoiseSpace` (Song et al. 2021, eq. 7).

    torch.compile takes the whole step in one graph, but not with a network that writes to its weights when it is
    called, as `EDM2UNet` does in training; and a network that is compiled by itself has no second derivative.

    Args:
        weighting: w; None is `NoiseSpace`.
        times: distribution of t.

    Raises:
        UserError: a weighting that is learned from errors, as J may be negative; in `prepare`, a path at whose ends
            the score or its weight is not finite.
    """

    differentiates_twice = True

    def __init__(self, weighting: Weighting | None = None, times: TimeDistribution | None = None):
        super().__init__()
        self.weighting = weighting or NoiseSpace()
        name, remedy = type(self.weighting).__name__, "use NoiseSpace, or Denoising as objective"
        expected = "one that is a factor of time, since J may be negative"
        require(self.weighting.is_factor, "weighting", name, expected, remedy)
        self.times = times or UniformTime()

    def prepare(self, spec: DataSpec, path: GaussianPath, prediction: Prediction) -> None:
        name, expected = (
            type(self).__name__,
            "a path with a finite score and a finite weight of it at both ends",
        )
        for end in ("t_min", "t_max"):
            t = torch.tensor([getattr(path, end)], dtype=torch.float64)
            finite = float(path.sigma(t)) > 0 and bool(self._weight(path, prediction, t).isfinite())
            got = f"{name} on {type(path).__name__}({end}={t.item()})"
            remedy = (
                f"move path.init_args.{end} inwards, to {'1e-3' if end == 't_min' else '0.999'} for example"
            )
            require(finite, "objective", got, expected, remedy)

    @abstractmethod
    def integrand(self, score: Tensor, pull: Pull) -> Tensor:
        """J per sample, (B,), of the score (B, ...) and of v -> v^T (ds/dx), (B, ...) -> ((B, ...),)."""

    def forward(
        self, denoiser: Denoiser, x_0: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss (B,), and named terms: `score_norm`, the mean of sigma^2 |s|^2 / D, near 1 for a trained model."""
        path, prediction = denoiser.path, denoiser.prediction
        t = self.times.sample(len(x_0), path, x_0.device)
        x_t = path.sample(x_0, torch.randn_like(x_0), t)
        # Validation has no gradients, but the divergence needs them; flash attention has no second derivative.
        with torch.inference_mode(False), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            x_t, t = x_t.detach().clone(), t.clone()
            condition = None if condition is None else condition[torch.arange(len(x_t), device=x_t.device)]
            sigma = expand_like(path.sigma(t), x_t)
            score, pull = with_pullback(lambda x: -denoiser(x, t, condition).eps / sigma, x_t)
            weight = self._weight(path, prediction, t)
            loss = weight * self.integrand(score, pull) / x_t[0].numel()
        norm = (path.sigma(t) ** 2 * mean_per_sample(score.square())).detach().mean()
        return self.times.weigh(loss, t, path), {"score_norm": norm}

    def _weight(self, path: GaussianPath, prediction: Prediction, t: Tensor) -> Tensor:
        to_score = (prediction.determinant(path, t) * path.sigma(t) / path.alpha(t)) ** 2
        return self.weighting(path, prediction, t) * to_score


class ImplicitScoreMatching(ScoreMatching):
    """J = |s|^2 + 2 div s, with the trace of the Jacobian exact or estimated by v^T (ds/dx) v, E v v^T = I.

    Args:
        trace: "exact" takes as many backward passes as there are values, "hutchinson" one per projection.
        num_projections: of the estimate; each v has entries of +1 and -1 (Hutchinson 1990).
        weighting: see `ScoreMatching`.
        times: distribution of t.

    Raises:
        UserError: trace is neither, or num_projections is not positive.

    Source: Hyvarinen 2005, theorem 1, on noised data.
    """

    def __init__(
        self,
        trace: Literal["exact", "hutchinson"] = "hutchinson",
        num_projections: int = 1,
        weighting: Weighting | None = None,
        times: TimeDistribution | None = None,
    ):
        super().__init__(weighting, times)
        require(trace in ("exact", "hutchinson"), "trace", trace, "'exact' or 'hutchinson'", "choose one")
        check_projections(num_projections)
        self.trace, self.num_projections = trace, num_projections

    def integrand(self, score: Tensor, pull: Pull) -> Tensor:
        if self.trace == "exact":
            divergence = exact_divergence(score, pull)
        else:
            signs = [torch.randint_like(score, 2) * 2 - 1 for _ in range(self.num_projections)]
            divergence = sum(projected_divergence(pull, v) for v in signs) / len(signs)
        return sum_per_sample(score.square()) + 2 * divergence


class SlicedScoreMatching(ScoreMatching):
    """J = (v^T s)^2 + 2 v^T (ds/dx) v for random directions v ~ N(0, I): scores are compared along lines.

    Args:
        num_projections: directions per sample.
        variance_reduced: take |s|^2, the first term's known expectation over v.
        weighting: see `ScoreMatching`.
        times: distribution of t.

    Raises:
        UserError: num_projections is not positive.

    Source: Song et al. 2019, "Sliced score matching", eq. 7-8.
    """

    def __init__(
        self,
        num_projections: int = 1,
        variance_reduced: bool = True,
        weighting: Weighting | None = None,
        times: TimeDistribution | None = None,
    ):
        super().__init__(weighting, times)
        check_projections(num_projections)
        self.num_projections, self.variance_reduced = num_projections, variance_reduced

    def integrand(self, score: Tensor, pull: Pull) -> Tensor:
        total = score.new_zeros(len(score))
        for _ in range(self.num_projections):
            v = torch.randn_like(score)
            norm, along = sum_per_sample(score.square()), sum_per_sample(v * score).square()
            first = norm if self.variance_reduced else along
            total = total + first + 2 * projected_divergence(pull, v)
        return total / self.num_projections


def check_projections(number: int) -> None:
    """Refuse none.

    Raises:
        UserError: the number is not positive.
    """
    require(number > 0, "num_projections", number, "a positive integer", "use 1")
