"""Couplings: marginals kept, plans equal to POT's, classes kept apart."""

import numpy as np
import pytest
import torch

from genlab.core import Condition, UserError, WorkError
from genlab.probability import EntropicCoupling, IndependentCoupling, OptimalCoupling
from genlab.probability.sinkhorn import sinkhorn, squared_distances

COUPLINGS = [IndependentCoupling(), OptimalCoupling(), EntropicCoupling()]


def pair(n=64, shape=(3, 2, 2), dtype=torch.float64, seed=0):
    """Data of two classes, +2 and -2, and noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    x_0 = torch.randn(n, *shape, generator=generator, dtype=dtype) / 2
    x_0 = x_0 + (4.0 * labels - 2).to(dtype).view(-1, *[1] * len(shape))
    return x_0, torch.randn(n, *shape, generator=generator, dtype=dtype), labels


def cost(x_0, eps):
    return (x_0 - eps).flatten(1).square().sum(1).mean()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 7, 64])
@pytest.mark.peers
def test_optimal_plan_is_pots(n, seed):
    ot = pytest.importorskip("ot", reason="needs POT: pip install -e '.[peers]'")
    x_0, eps, _ = pair(n, seed=seed)
    plan = ot.emd(np.full(n, 1 / n), np.full(n, 1 / n), squared_distances(x_0, eps).numpy())
    partners = OptimalCoupling().partners(x_0, eps)
    assert np.array_equal(plan.argmax(1), partners.numpy())
    assert np.allclose(plan[np.arange(n), partners], 1 / n)


def test_optimal_plan_in_one_dimension_is_sorting():
    x_0, eps, _ = pair(100, (1,))
    coupled = OptimalCoupling()(x_0, eps)
    order = x_0[:, 0].argsort()
    assert torch.equal(coupled[order, 0], eps[:, 0].sort().values)


@pytest.mark.parametrize("relative", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("m", [30, 20])
@pytest.mark.peers
def test_entropic_plan_is_pots(m, relative):
    ot = pytest.importorskip("ot", reason="needs POT: pip install -e '.[peers]'")
    x, y = pair(30)[0], pair(m, seed=1)[1]
    c = squared_distances(x, y)
    epsilon = relative * c.mean().item()
    a, b = np.full(30, 1 / 30), np.full(m, 1 / m)
    expected = ot.sinkhorn(a, b, c.numpy(), epsilon, method="sinkhorn_log", numItermax=100_000, stopThr=1e-12)
    plan = sinkhorn(c, epsilon, tolerance=1e-11)
    np.testing.assert_allclose(plan.log_plan.exp().numpy(), expected, rtol=0, atol=1e-11)
    # The dual's value is the primal's: <P, C> + epsilon KL(P | a b).
    p = plan.log_plan.exp()
    primal = (p * c).sum() + epsilon * (p * (plan.log_plan - np.log(1 / 30 / m))).sum()
    torch.testing.assert_close(plan.value, primal, rtol=1e-8, atol=0)


def test_sinkhorn_neither_overflows_nor_underflows():
    x, y = pair(20)[0], pair(20, seed=1)[1]
    c = 1e4 * squared_distances(x, y)
    plan = sinkhorn(c, c.mean().item() * 3e-3, tolerance=1e-4).log_plan.exp()
    assert plan.isfinite().all()
    torch.testing.assert_close(plan.sum(0), torch.full((20,), 0.05, dtype=torch.float64), rtol=0, atol=1e-4)
    with pytest.raises(WorkError, match="raise epsilon"):
        sinkhorn(c, c.mean().item() * 3e-3, tolerance=1e-12, num_iterations=5)


@pytest.mark.parametrize("coupling", COUPLINGS, ids=lambda c: type(c).__name__)
def test_noise_comes_from_the_batch(coupling):
    torch.manual_seed(0)
    x_0, eps, _ = pair()
    coupled = coupling(x_0, eps)
    assert coupled.shape == eps.shape
    rows = {tuple(row) for row in eps.flatten(1).tolist()}
    assert {tuple(row) for row in coupled.flatten(1).tolist()} <= rows
    if not isinstance(coupling, EntropicCoupling):
        assert torch.equal(coupled.flatten().sort().values, eps.flatten().sort().values)


def test_costs_are_ordered_and_entropy_leads_from_one_to_the_other():
    torch.manual_seed(0)
    x_0, eps, _ = pair(256)
    optimal, independent = cost(x_0, OptimalCoupling()(x_0, eps)), cost(x_0, eps)
    little, much = (cost(x_0, EntropicCoupling(r)(x_0, eps)) for r in (0.01, 50.0))
    assert optimal <= little < 0.5 * (optimal + independent) < much
    assert much == pytest.approx(independent.item(), rel=0.1)
    assert little == pytest.approx(optimal.item(), rel=0.03)


def test_entropic_coupling_draws_from_its_plan():
    torch.manual_seed(0)
    x_0, eps, _ = pair(6, (2,))
    c = squared_distances(x_0, eps)
    expected = 6 * sinkhorn(c, 0.3 * c.mean().item()).log_plan.exp()
    draws = EntropicCoupling(0.3).partners(x_0.repeat(2000, 1), eps).view(2000, 6)
    shares = torch.stack([(draws == j).double().mean(0) for j in range(6)], 1)
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("make", [OptimalCoupling, EntropicCoupling])
def test_within_classes_noise_does_not_tell_the_class(make):
    torch.manual_seed(0)
    x_0, eps, labels = pair(512)
    condition = Condition(label=labels)
    shift = [
        make(within_classes=w)(x_0, eps, condition)[labels == 1].mean() - eps.mean() for w in (True, False)
    ]
    assert abs(shift[0]) < 0.05
    assert shift[1] > 0.2  # eps of the class at +2 leans to +
    coupled = OptimalCoupling()(x_0, eps, condition)
    for c in (0, 1):  # each class is coupled as if it were alone
        alone = OptimalCoupling()(x_0[labels == c], eps[labels == c])
        assert torch.equal(coupled[labels == c], alone)
    assert cost(x_0, coupled) < cost(x_0, eps)


def test_coupled_noise_is_not_the_score():
    """Data N(0, 4) with optimal noise, x_0 = 2 eps: x_t ~ N(0, (2 alpha + sigma)^2), and eps is known from x_t."""
    torch.manual_seed(0)
    x_0, eps, (alpha, sigma) = 2 * torch.randn(512, 1), torch.randn(512, 1), (0.6, 0.4)
    coupled = OptimalCoupling()(x_0, eps)
    x_t = alpha * x_0 + sigma * coupled
    score = -x_t / (2 * alpha + sigma) ** 2
    ratio = (-coupled / sigma * score).sum() / score.square().sum()
    assert ratio.item() == pytest.approx((2 * alpha + sigma) / sigma, rel=0.1)  # 4 times the score
    independent = alpha * x_0 + sigma * eps
    score = -independent / (4 * alpha**2 + sigma**2)
    assert ((-eps / sigma * score).sum() / score.square().sum()).item() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_coupled_in_single(dtype):
    x_0, eps, _ = pair(32, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        coupled = OptimalCoupling()(x_0, eps)
    assert coupled.dtype == dtype
    assert torch.equal(coupled, eps[OptimalCoupling().partners(x_0.float(), eps.float())])


def test_refuses_no_regularisation():
    with pytest.raises(UserError, match=r"regularisation: got 0, .* OptimalCoupling"):
        EntropicCoupling(0)
    with pytest.raises(UserError, match="epsilon"):
        sinkhorn(torch.zeros(2, 2), -1.0)
