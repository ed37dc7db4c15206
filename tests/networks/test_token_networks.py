"""Networks over tokens: causal, equal with and without their caches, and told by their conditions."""

import math

import pytest
import torch
from torch import nn

from genlab.core import Condition, DataSpec, ModalitySpec, UserError
from genlab.networks import GatedPixelCNN, TokenTransformer
from genlab.networks.rotary import rotary_angles, rotate

VOCABULARY = 7


def spec_of(*grid: int, words: bool = False) -> DataSpec:
    """Tokens on a grid with classes, and with sequences where asked."""
    modalities = {"tokens": ModalitySpec(grid, num_classes=VOCABULARY), "label": ModalitySpec(num_classes=3)}
    if words:  # tokens that are the data are no condition: the data go by another name
        modalities = {
            "codes": modalities["tokens"],
            **modalities,
            "tokens": ModalitySpec((4,), num_classes=9),
        }
    return DataSpec("x", modalities)


def spread(network: nn.Module) -> nn.Module:
    """All weights and biases at random, so that nothing is zero by its start."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.double().eval()


def transformer(grid: tuple[int, ...], positions: str = "learned", **settings) -> nn.Module:
    spec = spec_of(*grid, words=settings.pop("words", False))
    return spread(TokenTransformer(spec, 2, 16, 2, positions=positions, **settings))


MAKERS = {
    "learned": lambda: transformer((3, 4)),
    "rotary": lambda: transformer((3, 4), "rotary"),
    "sequence": lambda: transformer((12,), "rotary"),
    "three axes": lambda: transformer((2, 2, 3), "rotary"),
    "words": lambda: transformer((3, 4), words=True),
    "pixelcnn": lambda: spread(GatedPixelCNN(spec_of(3, 4), channels=6, num_layers=3, kernel_size=3)),
    "wide pixelcnn": lambda: spread(GatedPixelCNN(spec_of(3, 4), channels=6, num_layers=1, kernel_size=7)),
}


def condition(num: int) -> Condition:
    return Condition(label=torch.arange(num) % 3)


@pytest.mark.parametrize("name", MAKERS)
def test_logits_depend_on_all_tokens_before_and_no_other(name):
    torch.manual_seed(0)
    network, length = MAKERS[name](), 12
    tokens = torch.randint(VOCABULARY, (2, length))
    vectors = network.embedding(tokens).detach().requires_grad_()
    network.embedding.forward = lambda numbers: (
        vectors[:, : numbers.shape[1]].reshape(*numbers.shape, -1)
        if numbers.ndim == 2
        else vectors.view(*numbers.shape, -1)
    )
    logits = network(tokens, condition(2))
    assert logits.shape == (2, length, VOCABULARY)
    for i in range(length):
        (gradient,) = torch.autograd.grad(
            logits[:, i].square().sum(), vectors, retain_graph=True, allow_unused=True
        )
        reached = torch.zeros(2, length) if gradient is None else gradient.abs().sum(-1)
        expected = torch.arange(length) < i
        if name == "wide pixelcnn":  # one layer's reach is its kernel: all above, here
            assert not (reached[:, ~expected] > 0).any()
            continue
        assert ((reached > 0) == expected).all(), i


def test_one_layer_of_the_pixelcnn_reaches_all_of_its_kernel():
    network = spread(GatedPixelCNN(spec_of(5, 7), channels=4, num_layers=1, kernel_size=5))
    vectors = torch.randn(1, 5, 7, 4, dtype=torch.float64, requires_grad=True)
    network.embedding.forward = lambda numbers: vectors
    logits = network(torch.zeros(1, 35, dtype=torch.int64)).view(5, 7, -1)
    (gradient,) = torch.autograd.grad(logits[3, 3].square().sum(), vectors)
    rows, columns = torch.meshgrid(torch.arange(5), torch.arange(7), indexing="ij")
    # The vertical kernel of row 2 has rows 0 to 2 and columns 1 to 5; the horizontal one, two columns.
    above, left = (rows < 3) & ((columns - 3).abs() <= 2), (rows == 3) & (columns < 3) & (columns > 0)
    assert torch.equal(gradient[0].abs().sum(-1) > 0, above | left)


@pytest.mark.parametrize("name", MAKERS)
def test_steps_give_what_all_positions_at_once_give(name):
    torch.manual_seed(0)
    network, tokens = MAKERS[name](), torch.randint(VOCABULARY, (3, 12))
    given = condition(3)
    if name == "words":
        mask = torch.tensor([[True] * 4, [True, True, False, False], [False] * 4])
        given = Condition(label=given.label, tokens=torch.randint(9, (3, 4)), token_mask=mask)
    for asked in (given, given.null(), None):
        together, cache, last = network(tokens, asked), network.start(3, asked), None
        for i in range(12):
            torch.testing.assert_close(network.step(last, cache), together[:, i])
            last = tokens[:, i]
        torch.testing.assert_close(network(tokens[:, :5], asked), together[:, :5])
    assert (network(tokens, given) - network(tokens, given.null())).abs().max() > 1e-2
    torch.testing.assert_close(network(tokens, given.null()), network(tokens, None))


@pytest.mark.parametrize("num", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_long_sequences_steps_give_the_same(num, dtype):
    network, tokens = transformer((8, 9), "rotary").to(dtype), torch.randint(VOCABULARY, (num, 72))
    together, cache, last = network(tokens), network.start(num), None
    for i in range(72):
        torch.testing.assert_close(network.step(last, cache), together[:, i], rtol=1e-4, atol=1e-4)
        last = tokens[:, i]


@pytest.mark.parametrize("num", [1, 5])
@pytest.mark.parametrize("words", [False, True])
def test_steps_under_autocast_are_in_the_weights_precision(num, words):
    network = transformer((3, 4), words=words).float()
    given = (
        Condition(label=torch.arange(num) % 3, tokens=torch.ones(num, 4, dtype=torch.int64))
        if words
        else None
    )
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            cache = network.start(num, given)
            network.step(None, cache)
            found.append(network.step(torch.ones(num, dtype=torch.int64), cache))
    assert found[1].dtype == torch.float32
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("make", [TokenTransformer, GatedPixelCNN])
def test_all_tokens_are_equally_likely_at_the_start(make):
    logits = make(spec_of(3, 4))(torch.randint(VOCABULARY, (2, 3, 4)), condition(2))
    assert logits.shape == (2, 12, VOCABULARY)
    assert logits.abs().max() == 0


def test_rotary_products_depend_on_distances_along_each_axis():
    torch.manual_seed(0)
    angles = rotary_angles((4, 5), 8).double()
    q, k = torch.randn(8).double(), torch.randn(8).double()
    turned_q, turned_k = (rotate(x.expand(20, -1), angles.cos(), angles.sin()) for x in (q, k))
    products = (turned_q @ turned_k.T).view(4, 5, 4, 5)
    torch.testing.assert_close(products[0, 1, 1, 3], products[2, 2, 3, 4])
    torch.testing.assert_close(products[0, 0, 0, 0], q @ k)
    assert (products[0, 0, 1, 0] - products[0, 0, 0, 1]).abs() > 1e-3


def test_the_transformers_block_is_that_of_the_formula():
    network = transformer((5,), conditional=False)
    block, x = network.blocks[0], torch.randn(2, 5, 16, dtype=torch.float64)
    q, k, v = block.attention.qkv(block.norm1(x)).split(16, dim=2)
    heads = []
    for rows in (slice(0, 8), slice(8, 16)):
        scores = q[..., rows] @ k[..., rows].transpose(1, 2) / math.sqrt(8)
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ v[..., rows])
    x1 = x + block.attention.out(torch.cat(heads, dim=2))
    hidden = nn.functional.gelu(block.expand(block.norm2(x1)), approximate="tanh")
    torch.testing.assert_close(block(x), x1 + block.contract(hidden))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: TokenTransformer(DataSpec("x", {"image": ModalitySpec((1, 8, 8))})),
            "network: got .* expected tokens",
        ),
        (lambda: TokenTransformer(spec_of(4), width=30, num_heads=4), "num_heads: got 4"),
        (lambda: TokenTransformer(spec_of(4), positions="sines"), "positions: got 'sines'"),
        (lambda: GatedPixelCNN(spec_of(4)), r"network: got .*\(4,\).*choose TokenTransformer"),
        (lambda: GatedPixelCNN(spec_of(4, 4), kernel_size=4), "kernel_size: got 4"),
    ],
)
def test_refuses_what_cannot_work(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_full_cache_is_refused():
    network = transformer((2,))
    cache, last = network.start(1), None
    for _ in range(2):
        network.step(last, cache)
        last = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(UserError, match="cache: got '2 positions', expected fewer than 2"):
        network.step(last, cache)
