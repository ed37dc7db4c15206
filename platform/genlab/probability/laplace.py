"""The Laplace likelihood, whose scale is given: absolute errors."""

import math

import torch
from torch import Tensor

from genlab.core import DataSpec, RandomStreams, require, sum_per_sample
from genlab.probability.likelihoods import Likelihood


class Laplace(Likelihood):
    """p(x) = exp(-|x - mean| / scale) / (2 scale), per value; the decoder gives the mean.

    Data without levels get their density. Data with levels get the bound on the probability of a level that uniform
    noise u within its bin, of width w, gives, in closed form (d = x - mean):

        log P(l) >= log w - log 2 scale - E|d + u| / scale,  E|d + u| = |d|, or d^2 / w + w / 4 where |d| < w / 2

    Args:
        spec: of the data.
        scale: in units of [-1, 1].

    Raises:
        UserError: the scale is not positive.

    Source: the bound: Theis et al. 2016, "A note on the evaluation of generative models", eq. 2-5.

    >>> from genlab.core import ModalitySpec
    >>> likelihood = Laplace(DataSpec("x", {"image": ModalitySpec((1, 1, 1))}), scale=0.5)
    >>> likelihood.log_prob(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)).tolist()
    [-2.0]
    """

    num_params = 1

    def __init__(self, spec: DataSpec, scale: float = 0.1):
        super().__init__(spec)
        require(scale > 0, "scale", scale, "a positive number", "use 0.1")
        self.measure = "dequantised" if self.data.num_levels else "density"
        self.scale = scale

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        (mean,) = self.per_value(params)
        error, constant = (x - mean).abs(), -math.log(2 * self.scale)
        if self.measure == "dequantised":
            width = self.data.bin_width
            error = torch.where(error < width / 2, error.square() / width + width / 4, error)
            constant += math.log(width)
        return sum_per_sample(constant - error / self.scale)

    def mean(self, params: Tensor) -> Tensor:
        return self.per_value(params)[0].clamp(-1, 1)

    def sample(self, params: Tensor, rng: RandomStreams) -> Tensor:
        (mean,) = self.per_value(params)
        u = rng.uniform(self.data.shape).to(mean) - 0.5
        noise = -u.sign() * torch.log1p(-2 * u.abs().clamp(max=0.5 - 2**-25))
        return (mean + self.scale * noise).clamp(-1, 1)
