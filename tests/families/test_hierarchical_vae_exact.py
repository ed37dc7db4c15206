"""A linear-Gaussian ladder of two levels, whose log-likelihood, posterior and KLs are known."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

from genlab.core import DataSpec, ModalitySpec, RandomStreams
from genlab.families import HierarchicalVAE
from genlab.probability import AbsolutePosterior, Gaussian, ResidualPosterior

SIZE = 5  # of x


class Encoder(nn.Module):
    """Gives x as it is."""

    feature_shapes = ((SIZE,),)

    def forward(self, x):
        return [x]


class Decoder(nn.Module):
    """z_1 ~ N(0, I), z_2 | z_1 ~ N(A z_1 + b, s_2^2 I), mean of x: W_1 z_1 + W_2 z_2 + c; posteriors linear, too."""

    feature_shapes, conditions = ((SIZE,),), ()

    def __init__(self, dims):
        super().__init__()
        first, second = dims
        self.latent_shapes = ((first,), (second,))
        self.prior = nn.Linear(first, second)
        self.of_first, self.of_second = nn.Linear(first, SIZE, bias=False), nn.Linear(second, SIZE)
        self.infer = nn.ModuleList([nn.Linear(SIZE, first), nn.Linear(first + SIZE, second)])
        self.log_scales = nn.ParameterList([torch.zeros(d) for d in (second, first, second)])

    def forward(self, draw, num, features=None, condition=None):
        none, x = torch.zeros(num, self.infer[0].out_features), features and features[0]
        rows = [scale.expand(num, -1) for scale in self.log_scales]
        first = draw(
            torch.cat([none, none], 1),
            None if x is None else torch.cat([self.infer[0](x), rows[1]], 1),
        )
        second = draw(
            torch.cat([self.prior(first), rows[0]], 1),
            None if x is None else torch.cat([self.infer[1](torch.cat([first, x], 1)), rows[2]], 1),
        )
        return self.of_first(first) + self.of_second(second)


def made(dims=(2, 3), posterior=ResidualPosterior):
    torch.manual_seed(0)
    model = HierarchicalVAE(
        DataSpec("vectors", {"vector": ModalitySpec((SIZE,))}),
        lambda spec: Encoder(),
        lambda spec, num_channels: Decoder(dims),
        lambda spec: Gaussian(spec, scale="shared"),
        posterior(),
    )
    for scale in model.decoder.log_scales:
        scale.data.uniform_(-0.2, 0.2)
    return model.double().requires_grad_(False)


def marginal(model):
    """The exact log p(x)."""
    net = model.decoder
    scale = model.likelihood.min_scale + nn.functional.softplus(model.likelihood.shared)
    through, second = net.of_first.weight + net.of_second.weight @ net.prior.weight, net.of_second.weight
    noise = (2 * net.log_scales[0]).exp().diag()
    covariance = through @ through.T + second @ noise @ second.T + scale**2 * torch.eye(SIZE)
    return MultivariateNormal(second @ net.prior.bias + net.of_second.bias, covariance)


def conditional(mean, covariance, unknown, known):
    """(weights, offset, variance) of one of jointly Gaussian variables given others."""
    weights = torch.linalg.solve(covariance[known][:, known], covariance[known][:, [unknown]])[:, 0]
    variance = covariance[unknown, unknown] - weights @ covariance[known, unknown]
    return weights, mean[unknown] - weights @ mean[known], variance


def test_with_the_true_posterior_every_bound_is_the_log_likelihood():
    """One latent a level, so that p(z_1 | x) and p(z_2 | z_1, x) are within reach."""
    model = made((1, 1), AbsolutePosterior)
    net = model.decoder
    scale = model.likelihood.min_scale + nn.functional.softplus(model.likelihood.shared)
    # (z_1, z_2, x) = offset + mix (e_1, e_2, e_x) of independent standard normal e.
    a, s2 = net.prior.weight.item(), net.log_scales[0].exp().item()
    w1, w2 = net.of_first.weight[:, 0], net.of_second.weight[:, 0]
    mix = torch.zeros(2 + SIZE, 2 + SIZE, dtype=torch.float64)
    mix[0, 0], mix[1, 0], mix[1, 1] = 1, a, s2
    mix[2:, 0], mix[2:, 1], mix[2:, 2:] = w1 + w2 * a, w2 * s2, scale * torch.eye(SIZE)
    b = net.prior.bias.item()
    mean = torch.cat([torch.tensor([0.0, b]), w2 * b + net.of_second.bias])
    covariance = mix @ mix.T
    xs = list(range(2, 2 + SIZE))
    for level, known in enumerate((xs, [0, *xs])):
        weights, offset, variance = conditional(mean, covariance, level, known)
        net.infer[level].weight.copy_(weights[None])
        net.infer[level].bias.fill_(offset)
        net.log_scales[1 + level].fill_(0.5 * math.log(variance))
    x = 0.7 * torch.randn(16, SIZE, dtype=torch.float64)
    exact = marginal(model).log_prob(x)
    for num_samples in (1, 7):
        found = model.log_prob(x, rng=RandomStreams(3, 16), num_samples=num_samples).nats
        torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("posterior", [ResidualPosterior, AbsolutePosterior])
def test_bounds_rise_to_the_exact_log_likelihood(posterior):
    model, repeats = made(posterior=posterior), 300
    x = 0.5 * torch.randn(3, SIZE, dtype=torch.float64)
    exact, bounds, errors = marginal(model).log_prob(x), [], []
    for k in (1, 8, 64):
        rng = RandomStreams(k, 3 * repeats)
        nats = model.log_prob(x.repeat_interleave(repeats, 0), rng=rng, num_samples=k).nats.view(3, repeats)
        bounds.append(nats.mean(1))
        errors.append(nats.std(1) / repeats**0.5)
    for lower, upper, error in zip(bounds, [*bounds[1:], exact], errors, strict=True):
        assert (lower <= upper + 4 * error).all()
    assert (exact - bounds[0] > 0.05).all(), "the posterior is not the true one"
    many = model.log_prob(x, num_samples=20_000).nats
    torch.testing.assert_close(many, exact, atol=0.1, rtol=0)


def test_kl_of_each_level_is_the_closed_form():
    """Of the second level, its mean over the first one's posterior: everything is linear and Gaussian."""
    model, num = made(), 40_000
    net, x = model.decoder, 0.5 * torch.randn(1, SIZE, dtype=torch.float64)
    terms = model.losses("val", {"vector": x.expand(num, -1)})
    mean, log_scale = net.infer[0](x)[0], net.log_scales[1]
    first = 0.5 * ((2 * log_scale).exp() + mean**2 - 1 - 2 * log_scale).sum()
    torch.testing.assert_close(terms["kl_1"], first)
    # d_mu = V z_1 + u with z_1 ~ N(mean, diag(scale^2)); KL = 1/2 (d_mu^2 / sigma^2 + d_sigma^2 - log d_sigma^2 - 1)
    weight = net.infer[1].weight[:, :2]
    d_mu = net.infer[1](torch.cat([mean[None], x], 1))[0]
    square = d_mu**2 + weight.square() @ (2 * log_scale).exp()
    own, residual = net.log_scales[0], net.log_scales[2]
    second = 0.5 * (square * (-2 * own).exp() + (2 * residual).exp() - 2 * residual - 1).sum()
    torch.testing.assert_close(terms["kl_2"], second, rtol=0.03, atol=0)
