"""Couplings of data and noise: which eps each x_0 of a batch travels to in training."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from genlab.core import Condition, require
from genlab.probability.partners import entropic_partners, optimal_partners


class Coupling(ABC):
    """A joint law of data and noise whose marginals are theirs, by rearranging a batch.

    Attributes:
        independent: whether noise says nothing of the data, so that -E[eps | x_t] / sigma is the score of x_t.
    """

    independent = False

    @abstractmethod
    def __call__(self, x_0: Tensor, eps: Tensor, condition: Condition | None = None) -> Tensor:
        """Noise for each of the data, (B, ...), from x_0 and independent eps, (B, ...)."""


class IndependentCoupling(Coupling):
    """Noise as it was drawn."""

    independent = True

    def __call__(self, x_0: Tensor, eps: Tensor, condition: Condition | None = None) -> Tensor:
        return eps


class MinibatchCoupling(Coupling):
    """Noise is dealt out within the batch, so that trajectories are short and cross less.

    The law of x_t at each t still leads from noise to data, and so the velocity's flow does; but the score of x_t is
    no longer -E[eps | x_t] / sigma, so that a model trained so is for ODE solvers.

    Args:
        within_classes: deal among data of one class alone. Without, noise would depend on the class, which in
            sampling it doesn't (Cheng and Schwing 2025, section 3.2). Data without labels are one class.

    Source: Tong et al. 2024, algorithm 3; Pooladian et al. 2023, section 4.
    """

    def __init__(self, within_classes: bool = True):
        self.within_classes = within_classes

    @abstractmethod
    def partners(self, x_0: Tensor, eps: Tensor, label: Tensor | None = None) -> Tensor:
        """Which eps each x_0 gets, (N,) int64: one of its own class, where labels (N,) are given."""

    @torch.no_grad()
    def __call__(self, x_0: Tensor, eps: Tensor, condition: Condition | None = None) -> Tensor:
        apart = self.within_classes and condition is not None
        return eps[self.partners(x_0, eps, condition.label if apart else None)]


class OptimalCoupling(MinibatchCoupling):
    """The permutation that minimises sum_i |x_0i - eps_i|^2: optimal transport within the batch, exact.

    Equal weights have an optimal plan that is a permutation, so nothing is drawn from the plan, and each eps is used
    once. O(B^3) at worst, on the CPU; 512 take about as long as their matrix of distances.

    Source: Tong et al. 2024, proposition 3.4; the assignment by Crouse 2016.

    >>> x_0, eps = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[1.9], [-0.1], [1.2]])
    >>> OptimalCoupling()(x_0, eps).flatten()
    tensor([-0.1000,  1.2000,  1.9000])
    """

    def partners(self, x_0: Tensor, eps: Tensor, label: Tensor | None = None) -> Tensor:
        return optimal_partners(x_0, eps, label)


class EntropicCoupling(MinibatchCoupling):
    """Noise drawn from the entropic plan's row of each x_0: between optimal and independent.

    Args:
        regularisation: epsilon, in units of the batch's mean squared distance between x_0 and eps.
        within_classes: as in `MinibatchCoupling`.

    Raises:
        UserError: regularisation is not positive.

    Source: Tong et al. 2024, section 3.2.4; Pooladian et al. 2023, section 4.
    """

    def __init__(self, regularisation: float = 0.05, within_classes: bool = True):
        super().__init__(within_classes)
        remedy = "use OptimalCoupling for none"
        require(regularisation > 0, "regularisation", regularisation, "a positive number", remedy)
        self.regularisation = regularisation

    def partners(self, x_0: Tensor, eps: Tensor, label: Tensor | None = None) -> Tensor:
        return entropic_partners(x_0, eps, label, self.regularisation)
