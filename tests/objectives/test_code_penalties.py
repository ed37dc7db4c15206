"""Penalties on codes: the contractive one against autograd and by hand, the sparse ones by hand."""

import math

import pytest
import torch
from torch import nn

from genlab.core import DataSpec, ModalitySpec, UserError
from genlab.networks import ConvEncoder, DenseEncoder
from genlab.objectives import Contractive, KLSparsity, L1Sparsity, Reconstruction, squared_jacobian_norm

SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)})


def by_autograd(encode, x):
    """One full Jacobian per sample."""
    rows = [torch.autograd.functional.jacobian(encode, row[None]).square().sum() for row in x]
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["convolutional", "dense"])
def test_the_penalty_is_the_norm_of_the_jacobian(kind):
    torch.manual_seed(0)
    network = (
        ConvEncoder(SPEC, 5, channels=[4, 8]) if kind == "convolutional" else DenseEncoder(SPEC, 5, [16])
    )
    encode = nn.Sequential(network, nn.Sigmoid()).double()
    x = torch.rand(4, 1, 8, 8, dtype=torch.float64) * 2 - 1
    truth = by_autograd(encode, x)
    torch.testing.assert_close(squared_jacobian_norm(encode, x), truth, rtol=1e-5, atol=0)
    value, terms = Contractive(weight=0.5)(x, encode(x), encode)
    torch.testing.assert_close(value, truth / 2, rtol=1e-5, atol=0)
    torch.testing.assert_close(terms["jacobian"], truth.mean(), rtol=1e-5, atol=0)
    with torch.inference_mode():
        torch.testing.assert_close(squared_jacobian_norm(encode, x), truth, rtol=1e-5, atol=0)


def test_the_estimate_has_the_norm_as_its_mean():
    torch.manual_seed(0)
    encode = nn.Sequential(nn.Linear(6, 4), nn.Tanh())
    x = torch.randn(3, 6)
    draws = torch.stack([squared_jacobian_norm(encode, x, num_probes=1).detach() for _ in range(2000)])
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - by_autograd(encode, x)).abs() < 4 * error).all()
    assert (draws.std(0) > 0).all()


def test_one_layer_of_sigmoids_has_the_papers_closed_form_and_gradients():
    """Rifai et al. 2011, section 3: sum_j (h_j (1 - h_j))^2 sum_i W_ji^2; of a linear map, 2 W is the gradient."""
    torch.manual_seed(0)
    linear = nn.Linear(6, 4)
    x = torch.randn(3, 6)
    h = linear(x).sigmoid()
    closed = ((h * (1 - h)) ** 2 * linear.weight.square().sum(1)).sum(1)
    torch.testing.assert_close(squared_jacobian_norm(lambda x: linear(x).sigmoid(), x), closed)
    squared_jacobian_norm(linear, x).mean().backward()
    torch.testing.assert_close(linear.weight.grad, 2 * linear.weight.detach())


def test_sparsity_by_hand():
    z = torch.tensor([[0.1, 0.6], [0.3, 0.0]])
    value, terms = L1Sparsity(weight=2.0)(None, z, None)
    torch.testing.assert_close(value, torch.tensor([1.4, 0.6]))
    assert terms["zeros"] == 0.25
    value, terms = KLSparsity(weight=3.0, target=0.1)(None, z, None)
    kl = sum(0.1 * math.log(0.1 / r) + 0.9 * math.log(0.9 / (1 - r)) for r in (0.2, 0.3))
    assert value.item() == pytest.approx(3 * kl, rel=1e-5)
    assert terms["mean_activation"].item() == pytest.approx(0.25)


def test_penalties_are_added_to_the_error():
    x = torch.tensor([[1.0, -1.0]])
    loss, terms = Reconstruction(penalties=[L1Sparsity(0.5)])(x, lambda x: 2 * x, lambda z: z / 4)
    torch.testing.assert_close(loss, torch.tensor([0.25 + 0.25 + 0.5 * 4]))
    assert terms["mse"].item() == 0.25


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L1Sparsity(0.0), "weight: got 0.0"),
        (lambda: KLSparsity(target=1.0), "target: got 1.0"),
        (lambda: Contractive(num_probes=0), "num_probes: got 0"),
        (
            lambda: KLSparsity()(None, torch.tensor([[2.0]]), None),
            "activation: got 'codes from 2 to 2'.*Sigmoid",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UserError, match=message):
        make()
