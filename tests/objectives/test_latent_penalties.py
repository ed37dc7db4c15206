"""Penalties on latents worked by hand, capacity, and the ELBO of posteriors and priors of every kind."""

import math

import pytest
import torch

from genlab.core import UserError
from genlab.objectives import DIP, ELBO, IWAE, MMD, DensityRatio, TotalCorrelation, shuffled
from genlab.probability import (
    Chain,
    DiagonalGaussian,
    Flip,
    Mixture,
    PushForward,
    Reflection,
    RotatedGaussian,
)
from tests.objectives.test_elbo import LinearGaussian


def latents(num=6, dim=3):
    torch.manual_seed(0)
    q = DiagonalGaussian(*torch.randn(2, num, dim).double())
    return q, DiagonalGaussian.standard(q.mean), q.sample(torch.randn(num, dim).double())


def test_the_true_posterior_of_full_covariance_has_no_gap():
    """One reflection turns the axes of a 2-dimensional Gaussian into any others: ELBO = log p(x)."""
    torch.manual_seed(0)
    model = LinearGaussian(mix=[[1.0, 0.9], [0.0, 0.4]])
    precision = torch.eye(2).double() + model.weight.T @ model.weight / model.scale**2
    variances, axes = torch.linalg.eigh(torch.linalg.inv(precision))
    normal = axes[:, 0] - torch.tensor([1.0, 0.0]).double()  # takes the first axis to the first eigenvector
    mirror = Reflection(normal)
    mean = model.x @ model.weight @ torch.linalg.inv(precision) / model.scale**2
    base = DiagonalGaussian(mirror.forward(mean)[0], (0.5 * variances.log()).expand_as(mean))
    q = RotatedGaussian(base, Chain([mirror]))
    z, log_q = q.draw(torch.randn(5, *mean.shape).double())
    log_w = model.log_likelihood(model.x, z) + model.prior.log_prob(z) - log_q()
    torch.testing.assert_close(log_w, model.exact.expand_as(log_w))
    true = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    diagonal = torch.distributions.MultivariateNormal(mean, torch.diag(1 / precision.diagonal()))
    gap = torch.distributions.kl_divergence(diagonal, true)
    assert gap.min() > 0.1, "the best diagonal one has a gap"


@pytest.mark.parametrize("objective", [ELBO(num_samples=4000), IWAE(num_samples=64)])
def test_bounds_with_flows_and_mixtures_stay_below_the_log_likelihood(objective):
    """Each prior is N(0, I) in other words, each posterior the model's own, so that bounds are the same."""
    torch.manual_seed(0)
    model = LinearGaussian()
    plain = -objective(*model.parts())[0].mean()
    standard = model.prior
    posterior = PushForward(model.posterior, Chain([Flip(), Flip()]))
    for prior in (PushForward(standard, Flip()), Mixture(DiagonalGaussian(*torch.zeros(2, 3, 2).double()))):
        loss, terms = objective(model.x, posterior, prior, model.log_likelihood)
        assert loss.shape == (len(model.x),)
        assert "active_dimensions" not in terms
        assert -loss.mean().item() == pytest.approx(plain.item(), abs=0.1)
        assert -loss.mean() <= model.exact.mean() + 0.05


def test_capacity_rises_to_its_end_and_holds_the_mean_kl_there():
    model = LinearGaussian()
    kl = ELBO().cost(torch.tensor([1.0, 7.0]), step=None)
    assert kl.tolist() == [1, 7]
    objective = ELBO(beta=10.0, capacity=4.0, warmup=8)
    for step, costs in {0: [40, 40], 4: [20, 20], 8: [0, 0], None: [0, 0]}.items():
        assert objective.cost(torch.tensor([1.0, 7.0]), step).tolist() == costs
    loss, terms = objective(*model.parts())
    assert loss.mean() > -terms["elbo"], "elbo is told without the capacity"


def test_terms_of_the_total_correlation_add_up_to_the_kl():
    q, prior, z = latents()
    value, terms = TotalCorrelation(weight=3.0)(q, prior, z, 6)
    torch.testing.assert_close(value.mean(), 3 * terms["total_correlation"])
    torch.testing.assert_close(sum(terms.values()), (q.log_prob(z) - prior.log_prob(z)).mean())
    small, large = (TotalCorrelation()(q, prior, z, num)[1]["mutual_information"] for num in (6, 1000))
    assert large > small, "of more data, an index tells more"


def test_dip_is_zero_where_the_covariance_is_the_identity():
    torch.manual_seed(0)
    mean = torch.randn(50, 3).double()
    mean = (mean - mean.mean(0)) @ torch.linalg.cholesky(torch.linalg.inv(torch.cov(mean.T, correction=0)))
    q = DiagonalGaussian(mean, torch.full_like(mean, math.log(0.5)))
    prior = DiagonalGaussian.standard(mean)
    value, terms = DIP(variant="I")(q, prior, mean, None)
    assert value.item() == pytest.approx(0, abs=1e-20)
    value, terms = DIP(10.0, 5.0, "II")(q, prior, mean, None)  # a quarter too much on the diagonal
    assert value.item() == pytest.approx(5 * 3 / 16)
    bent = DiagonalGaussian(mean @ torch.tensor([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]).double(), q.log_scale)
    value, terms = DIP(10.0, 0.0, "I")(bent, prior, mean, None)
    assert terms["covariance_off_diagonal"].item() == pytest.approx(2 * 0.25)
    assert value.item() == pytest.approx(10 * 2 * 0.25)


def test_mmd_as_a_penalty_pulls_codes_to_the_prior():
    torch.manual_seed(0)
    shift = torch.tensor([2.0, -2.0]).requires_grad_()
    noise = torch.randn(200, 2)
    prior = DiagonalGaussian.standard(noise)
    for _ in range(60):
        q = DiagonalGaussian(noise + shift, torch.zeros_like(noise))
        value, terms = MMD(weight=10.0)(q, prior, q.mean, None)
        (gradient,) = torch.autograd.grad(value, shift)
        shift = (shift - 0.5 * gradient).detach().requires_grad_()
    assert shift.abs().max() < 0.3
    assert terms["mmd"].abs() < 0.03
    assert MMD()(q, prior, noise[:1], None)[0] == 0


def test_the_best_critics_ratio_is_the_total_correlation():
    """Of N(0, [[1, r], [r, 1]]) it is known: log D - log(1 - D) = log q(z) - log q(z_1) q(z_2)."""
    torch.manual_seed(0)
    r, num = 0.8, 20_000
    covariance = torch.tensor([[1, r], [r, 1]])
    z = torch.randn(2, num, 2) @ torch.linalg.cholesky(covariance).mT
    joint = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
    ratio = DensityRatio(lambda z: joint.log_prob(z) - DiagonalGaussian.standard(z).log_prob(z), weight=2.0)
    q = DiagonalGaussian.standard(z[0])
    value, terms = ratio(q, q, z[0], None)
    exact = -0.5 * math.log(1 - r**2)
    assert terms["total_correlation"].item() == pytest.approx(exact, abs=0.03)
    assert value.mean().item() == pytest.approx(2 * exact, abs=0.06)
    best, _ = ratio.critic_loss(*z)
    for other in (lambda z: z[:, 0] * z[:, 1], lambda z: 0 * z[:, 0]):
        assert best < DensityRatio(other, 1.0).critic_loss(*z)[0]
    assert torch.cov(shuffled(z[0]).T)[0, 1].abs() < 0.03


def test_what_a_penalty_cannot_use_is_named():
    q, prior, z = latents()
    flow = PushForward(q, Flip())
    with pytest.raises(UserError, match="posterior: got 'PushForward', expected a diagonal Gaussian"):
        TotalCorrelation()(flow, prior, z, 6)
    with pytest.raises(UserError, match="num_data: got None"):
        TotalCorrelation()(q, prior, z, None)
    for make, argument in [
        (lambda: TotalCorrelation(weight=-1.0), "weight: got -1"),
        (lambda: DIP(diagonal=-1.0), "diagonal: got -1"),
        (lambda: DIP(variant="III"), "variant: got 'III'"),
        (lambda: MMD(scale=0.0), "scale: got 0"),
        (lambda: MMD(kernel="cubic"), "kernel: got 'cubic'"),
        (lambda: ELBO(capacity=-1.0), "capacity: got -1"),
    ]:
        with pytest.raises(UserError, match=argument):
            make()
