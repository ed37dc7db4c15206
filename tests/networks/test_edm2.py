"""EDM2's U-Net: magnitudes of activations and weights, at the start and in training."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from genlab.core import Condition, DataSpec, HasForcedWeights, ModalitySpec, UserError
from genlab.networks import EDM2UNet, MPBlock, MPFourier, MPLayer, mp_cat, mp_silu, mp_sum, unit_magnitude
from genlab.networks.edm2_block import CosineAttention2d
from genlab.networks.edm2_conditions import MPConditionEmbedding

MODALITIES = {"image": ModalitySpec((3, 16, 8)), "label": ModalitySpec(num_classes=10)}
SPEC = DataSpec("x", {**MODALITIES, "vector": ModalitySpec((4,)), "tokens": ModalitySpec((5, 6))})
SMALL = partial(EDM2UNet, SPEC, channels=32, multipliers=(1, 2), num_blocks=1, attention=(8,), head_dim=16)


def magnitude(x: torch.Tensor) -> float:
    """sqrt(mean of squares)."""
    return x.detach().square().mean().sqrt().item()


def condition(n: int) -> Condition:
    """Labels, vectors and tokens of unit magnitude."""
    return Condition(label=torch.arange(n) % 10, vector=torch.randn(n, 4), tokens=torch.randn(n, 5, 6))


def weights(network: nn.Module) -> list[nn.Parameter]:
    """Of all magnitude-preserving layers."""
    return [m.weight for m in network.modules() if isinstance(m, MPLayer)]


def force(network: nn.Module) -> None:
    """What families do before each batch of training."""
    for module in network.modules():
        if isinstance(module, HasForcedWeights):
            module.force_weights()


OPERATIONS = {
    "SiLU": lambda x, y: mp_silu(x),
    "sum": lambda x, y: mp_sum(x, y, t=0.3),
    "cat": lambda x, y: mp_cat(x, y[:, :16], t=0.7),
    "pixel norm": lambda x, y: unit_magnitude(7 * x, dim=1),
    "Fourier": lambda x, y: MPFourier(2000)(x[:, 0, 0, 0]),
    "linear": lambda x, y: MPLayer(2000, 64)(x.reshape(-1, 2000)),
    "convolution": lambda x, y: MPLayer(64, 64, 3)(x)[:, :, 1:-1, 1:-1],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_preserve_magnitude(name):
    torch.manual_seed(0)
    x, y = torch.randn(2, 50, 64, 10, 10)
    assert magnitude(OPERATIONS[name](x, y)) == pytest.approx(1, abs=0.03)


def test_a_concatenation_shares_its_magnitude_as_asked():
    torch.manual_seed(0)
    x = mp_cat(torch.randn(4, 100, 8, 8), torch.randn(4, 20, 8, 8), t=0.5)
    first, second = x[:, :100].square().sum(), x[:, 100:].square().sum()
    assert (first / second).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("attention", "least"), [((), 0.75), ((16,), 0.6)])
def test_the_network_preserves_magnitude_at_the_start(attention, least):
    """Attention averages values, and a convolution's frame is zero: these alone make magnitudes smaller."""
    torch.manual_seed(0)
    kinds = ["label", "vector", *(["tokens"] if attention else [])]
    spec = DataSpec("x", {**SPEC.modalities, "image": ModalitySpec((3, 32, 32))})
    network, seen = EDM2UNet(spec, 32, (1, 2), 1, attention, 16, conditional=kinds).eval(), []
    nn.init.ones_(network.gain_out)
    for module in network.modules():
        if isinstance(module, MPBlock | MPConditionEmbedding):
            module.register_forward_hook(lambda m, i, o: seen.append((type(m).__name__, magnitude(o))))
    n = 16
    y = network(torch.randn(n, 3, 32, 32), torch.linspace(-1.5, 1.0, n), condition(n))
    blocks = [value for kind, value in seen if kind == "MPBlock"]
    assert len(blocks) == 10
    assert all(least < value < 1.1 for value in [*blocks, magnitude(y)]), blocks
    assert all(value == pytest.approx(1, abs=0.15) for kind, value in seen if kind == "MPConditionEmbedding")


def test_weights_have_unit_magnitude_at_the_start_and_after_each_step():
    torch.manual_seed(0)
    network = SMALL().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    nn.init.ones_(network.gain_out)

    def sizes():
        return torch.cat([w.detach().flatten(1).square().mean(1).sqrt() for w in weights(network)])

    assert (sizes() - 1).abs().max() < 1e-3
    x, t, c = torch.randn(8, 3, 16, 8), torch.rand(8), condition(8)
    for _ in range(2):
        optimizer.zero_grad()
        network(x, t, c).square().mean().backward()
        optimizer.step()
        assert (sizes() - 1).abs().max() > 0.01, "the step changes them"
        y = network(x, t, c).detach()
        force(network)
        assert (sizes() - 1).abs().max() < 1e-3, "what comes before a batch normalises them"
        torch.testing.assert_close(network(x, t, c), y, rtol=1e-3, atol=1e-3)


def test_size_of_weights_does_not_matter_and_forward_passes_leave_them():
    torch.manual_seed(0)
    network = SMALL().train()
    nn.init.ones_(network.gain_out)
    x, t, c = torch.randn(2, 3, 16, 8), torch.rand(2), condition(2)
    y = network(x, t, c)
    with torch.no_grad():
        for w in weights(network):
            w.mul_(5)
    before = [w.clone() for w in weights(network)]
    torch.testing.assert_close(network(x, t, c), y, rtol=1e-2, atol=1e-2)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(network), strict=True))


def test_two_forward_passes_may_share_a_backward_pass():
    network = SMALL().train()
    nn.init.ones_(network.gain_out)
    one, other = (network(torch.randn(2, 3, 16, 8), torch.rand(2), condition(2)) for _ in range(2))
    (one * other).mean().backward()


def test_a_compiled_step_is_the_same():
    torch.manual_seed(0)
    plain = EDM2UNet(SPEC, 8, (1,), num_blocks=1, attention=(), conditional=False).train()
    nn.init.ones_(plain.gain_out)
    with torch.no_grad():
        for w in weights(plain):
            w.mul_(3)
    compiled = copy.deepcopy(plain)
    compiled.compile(backend="aot_eager")
    x, t = torch.randn(2, 3, 16, 8), torch.rand(2)
    for network in (plain, compiled):
        network(x, t).square().mean().backward()
    for one, other in zip(plain.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-5)


def test_starts_at_zero():
    assert SMALL()(torch.randn(2, 3, 16, 8), torch.rand(2), condition(2)).abs().max() == 0


def test_attention_is_by_cosines():
    torch.manual_seed(0)
    layer, x = CosineAttention2d(8, head_dim=4).double().eval(), torch.randn(2, 8, 3, 5).double()
    sequence = x.flatten(2).transpose(1, 2)
    q, (k, v) = layer.q(sequence), layer.kv(sequence).chunk(2, dim=2)
    heads = []
    for rows in (slice(0, 4), slice(4, 8)):
        a, b, c = (h[..., rows] / h[..., rows].norm(dim=2, keepdim=True) * 2 for h in (q, k, v))
        heads.append(torch.softmax(a @ b.transpose(1, 2) / 2, dim=-1) @ c)
    expected = layer.out(torch.cat(heads, dim=2)).transpose(1, 2).view_as(x)
    torch.testing.assert_close(layer(x), expected, rtol=1e-3, atol=1e-3)


def test_channels_last_gives_the_same():
    torch.manual_seed(0)
    network = SMALL().eval()
    nn.init.ones_(network.gain_out)
    other = SMALL(channels_last=True).eval()
    other.load_state_dict(network.state_dict())
    x, t, c = torch.randn(2, 3, 16, 8), torch.rand(2), condition(2)
    torch.testing.assert_close(other(x, t, c), network(x, t, c), rtol=1e-3, atol=1e-4)


def test_refuses_what_cannot_work():
    with pytest.raises(UserError, match="attention: got 4, expected heights of its levels, 16, 8"):
        EDM2UNet(SPEC, 16, (1, 2), attention=(4,))
    with pytest.raises(UserError, match="multipliers: got '5 resolutions'"):
        EDM2UNet(SPEC, 16, (1, 1, 1, 1, 1), attention=())
    with pytest.raises(UserError, match="head_dim"):
        EDM2UNet(SPEC, 24, (1, 2), attention=(8,), head_dim=18)
