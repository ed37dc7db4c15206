"""Which noise of a batch each of its data is coupled with, as operators of torch.

An assignment on the CPU, Sinkhorn's loop and the sizes of classes depend on values that a compiler can't know; as
operators they are one node of its graph each, called as they are. Eagerly they are plain functions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.core import full_precision
from genlab.probability.sinkhorn import sinkhorn, squared_distances


@torch.library.custom_op("genlab::optimal_partners", mutates_args=())
def optimal_partners(x_0: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
    """The permutation that minimises sum_i |x_0i - eps_i|^2, within each class where labels are given.

    Args:
        x_0, eps: data and noise, (N, ...).
        label: of the data, (N,), or None.

    Source: Crouse 2016, by SciPy.
    """
    from scipy.optimize import linear_sum_assignment

    def assignment(x: Tensor, z: Tensor) -> Tensor:
        # |x|^2 and |eps|^2 sum to the same under all permutations, and so does what all of a column or a row have
        # in common: once that is taken off, most augmenting paths are one edge long, and the search is faster.
        cost = -(x.flatten(1) @ z.flatten(1).T).double().cpu()
        cost -= cost.amin(0)
        cost -= cost.amin(1, keepdim=True)
        return torch.from_numpy(linear_sum_assignment(cost.numpy())[1]).to(x.device)

    return _by_class(assignment, x_0, eps, label)


@torch.library.custom_op(
    "genlab::entropic_partners", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,)
)
def entropic_partners(x_0: Tensor, eps: Tensor, label: Tensor | None, regularisation: float) -> Tensor:
    """Draws from the rows of the entropic plan, within each class where labels are given.

    Args:
        x_0, eps: data and noise, (N, ...).
        label: of the data, (N,), or None.
        regularisation: epsilon, in units of the mean squared distance between x_0 and eps.
    """

    def drawn(x: Tensor, z: Tensor) -> Tensor:
        cost = squared_distances(x, z)
        plan = sinkhorn(cost, regularisation * cost.mean().item(), tolerance=1e-3)
        return torch.multinomial(plan.log_plan.softmax(1), 1).flatten()

    return _by_class(drawn, x_0, eps, label)


@optimal_partners.register_fake
def _(x_0: Tensor, eps: Tensor, label: Tensor | None) -> Tensor:
    return x_0.new_empty(len(x_0), dtype=torch.int64)


@entropic_partners.register_fake
def _(x_0: Tensor, eps: Tensor, label: Tensor | None, regularisation: float) -> Tensor:
    return x_0.new_empty(len(x_0), dtype=torch.int64)


def _by_class(
    partners: Callable[[Tensor, Tensor], Tensor], x_0: Tensor, eps: Tensor, label: Tensor | None
) -> Tensor:
    """The partners of each class's data among its own noise; of all, without labels."""
    with torch.autocast(x_0.device.type, enabled=False):
        x, z = full_precision(x_0), full_precision(eps)
        if label is None:
            return partners(x, z)
        chosen = torch.empty(len(x), dtype=torch.int64, device=x.device)
        for one in label.unique():
            rows = (label == one).nonzero().flatten()
            chosen[rows] = rows[partners(x[rows], z[rows])]
        return chosen
