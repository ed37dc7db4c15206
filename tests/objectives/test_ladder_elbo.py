"""The ladder's bound: worked by hand, its warm-up, and free bits that hold."""

import pytest
import torch

from genlab.core import UserError
from genlab.objectives import LadderELBO, ladder_log_weight
from genlab.probability import DiagonalGaussian, Level

KLS = torch.tensor([[1.0, 3.0], [0.1, 0.3]])  # of two levels, for two data
RECONSTRUCTION = torch.tensor([10.0, 20.0])


def test_worked_by_hand():
    loss, terms = LadderELBO()(RECONSTRUCTION, KLS)
    torch.testing.assert_close(loss, torch.tensor([11.1, 23.3]))
    expected = {"elbo": -17.2, "reconstruction": 15.0, "kl": 2.2, "kl_1": 2.0, "kl_2": 0.2}
    assert {name: round(value.item(), 5) for name, value in terms.items()} == expected


def test_free_bits_are_paid_by_level_and_by_the_batchs_mean():
    loss, terms = LadderELBO(free_bits=0.5)(RECONSTRUCTION, KLS)
    torch.testing.assert_close(loss, torch.tensor([11.5, 23.5]))
    assert terms["elbo"].item() == pytest.approx(-17.2), "the bound itself has none"
    loss, _ = LadderELBO(free_bits=5.0)(RECONSTRUCTION, KLS)
    torch.testing.assert_close(loss, RECONSTRUCTION + 10)


def test_warm_up_rises_linearly_and_is_over_on_held_out_data():
    objective = LadderELBO(warmup=10)
    for step, beta in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0), (None, 1.0)):
        loss, terms = objective(RECONSTRUCTION, KLS, step)
        torch.testing.assert_close(loss, RECONSTRUCTION + beta * KLS.sum(0))
        assert terms["elbo"].item() == pytest.approx(-17.2)


def test_weights_are_those_of_the_joint_density():
    """Against torch's own normal densities, and equal to log p(x | z) where posteriors are priors."""
    torch.manual_seed(0)
    log_p, levels, by_hand = torch.tensor([-3.0, -5.0]), [], torch.tensor([-3.0, -5.0])
    for size in (2, 5):
        prior, posterior = (DiagonalGaussian(*torch.randn(2, 2, size, 3, 3)) for _ in range(2))
        z = posterior.sample(torch.randn_like(posterior.mean))
        levels.append(Level(prior, posterior, z))
        p, q = (torch.distributions.Normal(law.mean, law.log_scale.exp()) for law in (prior, posterior))
        by_hand = by_hand + (p.log_prob(z) - q.log_prob(z)).flatten(1).sum(1)
    torch.testing.assert_close(ladder_log_weight(log_p, levels), by_hand)
    alike = [Level(level.prior, level.prior, level.z) for level in levels]
    torch.testing.assert_close(ladder_log_weight(log_p, alike), log_p)


def collapsed(free_bits):
    """KLs of two levels that nothing but the bound holds, after it was minimised."""
    means = torch.tensor([[2.0, -3.0], [0.3, 0.2]]).repeat(4, 1, 1).transpose(0, 1).clone().requires_grad_()
    optimiser, prior = torch.optim.SGD([means], lr=0.2), DiagonalGaussian.standard(means[0])
    for _ in range(200):
        levels = [Level(prior, DiagonalGaussian(m, torch.zeros_like(m)), m) for m in means]
        loss, terms = LadderELBO(free_bits)(torch.zeros(4), torch.stack([level.kl() for level in levels]))
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
    return [terms[f"kl_{level}"].item() for level in (1, 2)]


def test_free_bits_hold():
    assert max(collapsed(0.0)) < 0.01
    first, second = collapsed(1.0)
    assert 0.9 < first <= 1.0, "falls to lambda, and no further"
    assert second == pytest.approx(0.065), "what is below it stays where it is"


@pytest.mark.parametrize("argument", ["free_bits", "warmup"])
def test_negative_numbers_are_named(argument):
    with pytest.raises(UserError, match=f"{argument}: got -1"):
        LadderELBO(**{argument: -1})
