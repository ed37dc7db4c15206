"""The denoising objective: regression of a prediction at random times."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from genlab.core import Condition, DataSpec, mean_per_sample
from genlab.objectives.weightings import OwnSpace, Weighting
from genlab.probability import (
    Coupling,
    Denoiser,
    GaussianPath,
    IndependentCoupling,
    Prediction,
    TimeDistribution,
    UniformTime,
)


class DenoiserObjective(nn.Module, ABC):
    """What a denoiser is trained by. Parameters of its own are trained and checkpointed with the network's.

    Attributes:
        num_outputs: how many tensors of x_t's shape the network gives: 2 where it predicts a variance too.
        takes_noise: whether `forward` takes an argument eps, the noise that came with the data (B, ...).
        to_origin: whether x_0 is trained to be where the trajectory of x_t began, as a consistency model's; else it
            is the mean of the data that x_t may have come from.
        has_score: whether -eps / sigma is trained to be the score of x_t, as it is where noise does not depend on
            the data; else only velocities are right.
        loss_ranks: whether a lower loss in validation is a better model, by which the best checkpoint can be chosen.
        differentiates_twice: whether the loss holds a derivative of the network, of which one that was compiled by
            itself has none.
    """

    num_outputs = 1
    takes_noise = False
    to_origin = False
    has_score = True
    loss_ranks = True
    differentiates_twice = False

    def prepare(self, spec: DataSpec, path: GaussianPath, prediction: Prediction) -> None:
        """Take what depends on data and path, before training; by default nothing.

        Raises:
            UserError: the objective can't be used with them.
        """

    @abstractmethod
    def forward(
        self, denoiser: Denoiser, x_0: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of each sample (B,) at random times, and named terms, of data x_0 (B, ...)."""


class Denoising(DenoiserObjective):
    """L = E_{t, eps} w(t) mean_j (prediction(x_t, t)_j - target_j)^2, x_t = alpha x_0 + sigma eps.

    With velocity prediction on the linear path it is (conditional) flow matching; with noise prediction
    on a variance-preserving path it is DDPM's simple loss; with score prediction denoising score matching.

    Args:
        weighting: w, over time.
        times: distribution of t.
        coupling: which eps goes with which x_0; None is independent. By optimal transport it is OT-CFM.

    Source: Ho et al. 2020, eq. 14; Lipman et al. 2023, eq. 9; Vincent 2011, eq. 9; Tong et al. 2024, eq. 14.
    """

    def __init__(
        self,
        weighting: Weighting | None = None,
        times: TimeDistribution | None = None,
        coupling: Coupling | None = None,
    ):
        super().__init__()
        self.weighting = weighting or OwnSpace()
        self.times = times or UniformTime()
        self.coupling = coupling or IndependentCoupling()

    takes_noise = True

    @property
    def has_score(self) -> bool:
        return self.coupling.independent

    def forward(
        self,
        denoiser: Denoiser,
        x_0: Tensor,
        condition: Condition | None = None,
        eps: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of each sample (B,), and named terms: `mse`, the mean unweighted error of the prediction.

        With eps, the noise that came with the data, nothing is drawn or coupled but t: reflow (Liu et al. 2023).
        """
        path, prediction = denoiser.path, denoiser.prediction
        t = self.times.sample(len(x_0), path, x_0.device)
        if eps is None:
            eps = self.coupling(x_0, torch.randn_like(x_0), condition)
        x_0, eps = path.draw(x_0, eps, t)
        pred = denoiser.predict(path.sample(x_0, eps, t), t, condition)
        error = mean_per_sample((pred - prediction.target(path, x_0, eps, t)).square())
        loss = self.weighting.loss(error, path, prediction, t)
        return self.times.weigh(loss, t, path), {"mse": error.mean()}
