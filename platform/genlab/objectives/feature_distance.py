"""Distances between data as a critic's features have them."""

from torch import Tensor

from genlab.core import full_precision, sum_per_sample


def feature_distance(features: Tensor, of_data: Tensor, scale: float = 1.0) -> Tensor:
    """-log N(D_l(x); D_l(x~), scale^2 I) in nats, without its constant: ||D_l(x) - D_l(x~)||^2 / (2 scale^2), (B,).

    Args:
        features: D_l(x~) of reconstructions, (B, ...).
        of_data: D_l(x) of the data, (B, ...).
        scale: standard deviation of each feature; 1 in the paper, whose features are batch-normalised.

    Source: Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", eq. 7 and 8.

    >>> import torch
    >>> feature_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([12.5000])
    """
    return 0.5 * sum_per_sample(((full_precision(features) - full_precision(of_data)) / scale).square())
