"""Densities p(z | c) of vectors, of each class or of all: a Gaussian mixture, a flow."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genlab.core import DataSpec, RandomStreams, derive_seed, full_precision, require
from genlab.networks.priors import FlowPrior
from genlab.probability import DiagonalGaussian, fit_gaussian_mixture


class ClassDensity(nn.Module):
    """Base of these: a density of vectors z (B, D) given a class (B,), or of all z, where there are no classes.

    Args:
        spec: of the vectors, with their labels where they have any.
    """

    def __init__(self, spec: DataSpec):
        super().__init__()
        self.dim = spec[spec.data].num_values
        self.num_classes = max(1, spec.num_classes)

    def start(self, z: Tensor, label: Tensor) -> None:
        """Take what can be read off training data z (N, D) of classes (N,), before training; nothing by default."""

    def log_prob(self, z: Tensor, label: Tensor) -> Tensor:
        """log p(z | c) in nats, (B,)."""
        raise NotImplementedError

    def sample(self, label: Tensor, rng: RandomStreams) -> Tensor:
        """One z per stream and class, (B, D)."""
        raise NotImplementedError


ClassDensityFactory = Callable[[DataSpec], ClassDensity]


class MixtureDensity(ClassDensity):
    """sum_k w_ck N(z; m_ck, (A_ck^T A_ck)^-1), a mixture of full covariance for each class c.

    Expectation maximisation fits it to the training data before the first step; gradient steps go on from there.

    Args:
        spec: of the vectors.
        num_components: K of each class.
        ridge: what is added to variances; where there are few data to a dimension, much more than rounding asks for.
        max_iterations: of expectation maximisation, at most.

    Raises:
        UserError: a number is out of range, or a class has fewer data than components.
    """

    def __init__(
        self, spec: DataSpec, num_components: int = 1, ridge: float = 1e-2, max_iterations: int = 100
    ):
        super().__init__(spec)
        for name, value in {"num_components": num_components, "max_iterations": max_iterations}.items():
            require(value >= 1, name, value, "a positive integer", "raise it")
        require(ridge >= 0, "ridge", ridge, "a non-negative number", "use 1e-2")
        self.num_components, self.ridge, self.max_iterations = num_components, ridge, max_iterations
        size = (self.num_classes, num_components)
        self.log_weights = nn.Parameter(torch.zeros(size))
        self.means = nn.Parameter(torch.randn(*size, self.dim))
        self.log_diagonal = nn.Parameter(torch.zeros(*size, self.dim))  # of A
        self.below = nn.Parameter(torch.zeros(*size, self.dim, self.dim))  # A's entries below its diagonal

    def whitening(self) -> Tensor:
        """A, lower triangular, (classes, K, D, D)."""
        return self.below.tril(-1) + torch.diag_embed(self.log_diagonal.exp())

    @torch.no_grad()
    def start(self, z: Tensor, label: Tensor) -> None:
        for c in range(self.num_classes):
            generator = torch.Generator().manual_seed(derive_seed("mixture", c))
            fitted = fit_gaussian_mixture(
                z[label == c].cpu(),
                self.num_components,
                ridge=self.ridge,
                max_iterations=self.max_iterations,
                generator=generator,
            )
            identity = torch.eye(self.dim, dtype=torch.float64)
            factor = torch.linalg.cholesky(fitted.covariances)
            a = torch.linalg.solve_triangular(factor, identity, upper=False)
            self.log_weights[c] = fitted.weights.log().to(self.log_weights)
            self.means[c] = fitted.means.to(self.means)
            self.log_diagonal[c] = a.diagonal(dim1=1, dim2=2).log().to(self.means)
            self.below[c] = a.tril(-1).to(self.means)

    def log_prob(self, z: Tensor, label: Tensor) -> Tensor:
        a, log_weights = self.whitening()[label], self.log_weights.log_softmax(1)[label]
        with torch.autocast(
            z.device.type, enabled=False
        ):  # half precision would lose small differences of large sums
            white = torch.einsum("bkij,bkj->bki", a, full_precision(z)[:, None] - self.means[label])
        normal = DiagonalGaussian.standard(white).log_prob(white)
        return (log_weights + normal + self.log_diagonal[label].sum(2)).logsumexp(1)

    def sample(self, label: Tensor, rng: RandomStreams) -> Tensor:
        ends = self.log_weights.softmax(1).cumsum(1)[label]
        # Rounding may leave the last end below 1.
        k = (rng.uniform(()).to(ends)[:, None] >= ends).sum(1).clamp(max=self.num_components - 1)
        eps = rng.normal((self.dim,)).to(ends)
        away = torch.linalg.solve_triangular(self.whitening()[label, k], eps[..., None], upper=False)
        return self.means[label, k] + away.squeeze(2)


class FlowDensity(ClassDensity):
    """z = f(u), u of a `MixtureDensity`, f `FlowPrior`'s couplings, which start as the identity.

    Args:
        spec: of the vectors, of 2 dimensions at least.
        num_couplings, width: as `FlowPrior`'s.
        num_components, ridge: as the mixture's.

    Raises:
        UserError: a number is out of range.

    Source: Dinh et al. 2017, "Density estimation using Real NVP"; classes in the base as Izmailov et al. 2020,
    "Semi-supervised learning with normalizing flows", section 3.
    """

    def __init__(
        self,
        spec: DataSpec,
        num_couplings: int = 6,
        width: int = 64,
        num_components: int = 1,
        ridge: float = 1e-2,
    ):
        super().__init__(spec)
        self.base = MixtureDensity(spec, num_components, ridge)
        self.flow = FlowPrior(spec, self.dim, num_couplings, width)

    def start(self, z: Tensor, label: Tensor) -> None:
        self.base.start(z, label)

    def log_prob(self, z: Tensor, label: Tensor) -> Tensor:
        z = full_precision(z)
        u, log_det = self.flow.bijection(z).inverse(z)
        return self.base.log_prob(u, label) + log_det

    def sample(self, label: Tensor, rng: RandomStreams) -> Tensor:
        u = self.base.sample(label, rng)
        return self.flow.bijection(u).forward(u)[0]
