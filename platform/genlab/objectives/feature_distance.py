"""Distances between data as a critic's features have them."""

from torch import Tensor

from genlab.core import full_precision, sum_per_sample


def feature_distance(features: Tensor, of_data: Tensor) -> Tensor:
    """-log N(D_l(x); D_l(x~), I) in nats, without its constant: ||D_l(x) - D_l(x~)||^2 / 2, (B,).

    Args:
        features: D_l(x~) of reconstructions, (B, ...).
        of_data: D_l(x) of the data, (B, ...).

    Source: Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", eq. 7 and 8.

    >>> import torch
    >>> feature_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([12.5000])
    """
    return 0.5 * sum_per_sample((full_precision(features) - full_precision(of_data)).square())
