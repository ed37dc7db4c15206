"""Two evaluations with the same draws, eagerly and compiled."""

import pytest
import torch
from torch import nn

from genlab.objectives.same_draws import SameDraws


def noisy():
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(100, 100), nn.Dropout(0.1))


def thrice(network, x):
    """The network with gradients kept off and on, and once more."""
    draws = SameDraws(x.device)
    with torch.no_grad(), draws.first():
        first = network(x)
    with draws.second():
        second = network(x)
    return first, second, network(x)


@pytest.mark.parametrize(
    "backend", [None, "eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
def test_both_evaluations_draw_the_same(backend):
    torch.manual_seed(0)
    network, x = noisy(), torch.randn(8, 100)
    torch._dynamo.reset()
    function = thrice if backend is None else torch.compile(thrice, backend=backend, fullgraph=True)
    for _ in range(2):  # the second time, none of the first's draws are left
        first, second, third = function(network, x)
        torch.testing.assert_close(first, second.detach())
        assert (second - third).abs().mean() > 0.1
        assert not first.requires_grad
        assert second.requires_grad


def test_only_the_second_moves_the_generator_on():
    network, x = noisy(), torch.randn(8, 100)
    torch.manual_seed(0)
    alone = network(x), network(x)
    torch.manual_seed(0)
    _, second, third = thrice(network, x)
    assert torch.equal(alone[0], second)
    assert torch.equal(alone[1], third)


def test_nothing_is_lost_in_evaluation():
    network, x = noisy().eval(), torch.randn(8, 100)
    for y in torch.compile(thrice, backend="eager", fullgraph=True)(network, x):
        assert torch.equal(y, network(x))
