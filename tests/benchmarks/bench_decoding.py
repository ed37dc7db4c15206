"""Drawing 256 tokens from a transformer beside x-transformers' generation with its cache, and our own without one.

Width 256, 6 blocks of 8 heads, a vocabulary of 1,024; the 64 likeliest tokens are drawn from. The limit is the
network's products with weights alone, one position at a time.
"""

from collections.abc import Callable

import torch
from torch import nn

from genlab.core import DataSpec, ModalitySpec, RandomStreams
from genlab.networks import TokenTransformer
from genlab.networks.row_product import row_product
from genlab.solvers import AutoregressiveDecoding
from tests.benchmarks.measure import Row, median_seconds

AIM, AIM_WITHOUT = 0.4, 0.125
LENGTH, VOCABULARY, WIDTH, DEPTH, HEADS, TOP_K = 256, 1024, 256, 6, 8, 64


def ours() -> TokenTransformer:
    """Our network, whose head is not zero."""
    spec = DataSpec("tokens", {"tokens": ModalitySpec((LENGTH,), num_classes=VOCABULARY)})
    network = TokenTransformer(spec, DEPTH, WIDTH, HEADS).eval()
    nn.init.normal_(network.head.weight)
    return network


def theirs() -> nn.Module | None:
    """The peer's network of the same size; None where it is not installed."""
    try:
        from x_transformers import AutoregressiveWrapper, Decoder, TransformerWrapper
    except ImportError:
        return None
    layers = Decoder(dim=WIDTH, depth=DEPTH, heads=HEADS, attn_dim_head=WIDTH // HEADS, attn_flash=True)
    network = TransformerWrapper(num_tokens=VOCABULARY, max_seq_len=LENGTH, attn_layers=layers)
    return AutoregressiveWrapper(network).eval()


def peer_draws(network: nn.Module, batch: int) -> None:
    """The peer's generation, after a first token."""
    with torch.inference_mode():
        first = torch.zeros(batch, 1, dtype=torch.int64)
        network.generate(first, LENGTH - 1, cache_kv=True, filter_kwargs={"k": TOP_K})


def products(network: nn.Module, batch: int) -> Callable[[], None]:
    """What no decoding goes without: all weights, once per position."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    found = [(row_product(layer, batch, LENGTH), torch.ones(batch, layer.in_features)) for layer in layers]

    def run() -> None:
        for _ in range(LENGTH):
            for product, x in found:
                product(x)

    return run


def run(rounds: int = 9, slow_rounds: int = 1) -> list[Row]:
    """Milliseconds per position, of a whole batch."""
    torch.manual_seed(0)
    network, peer, found = ours(), theirs(), []
    solver, anew = AutoregressiveDecoding(top_k=TOP_K), AutoregressiveDecoding(top_k=TOP_K, cached=False)
    for batch in (1, 16):
        rng = RandomStreams(0, batch)
        sides = {
            "ours": lambda: solver(network, rng=rng),  # noqa: B023
            "limit": products(network, batch),
        }
        if peer is not None:
            sides["theirs"] = lambda: peer_draws(peer, batch)  # noqa: B023
        seconds = median_seconds(sides, rounds)
        slow = median_seconds({"anew": lambda: anew(network, rng=rng)}, slow_rounds, warmup=0)  # noqa: B023
        shared = {
            "unit": "ms per position",
            "ours": 1e3 * seconds["ours"] / LENGTH,
            "limit": 1e3 * seconds["limit"] / LENGTH,
            "limit_by": "its products with weights",
        }
        name = f"drawing {LENGTH} tokens, batch {batch}"
        time = None if peer is None else 1e3 * seconds["theirs"] / LENGTH
        found.append(Row(name=name, peer="x-transformers, its cache", theirs=time, aim=AIM, **shared))
        time = 1e3 * slow["anew"] / LENGTH
        aim = AIM_WITHOUT if batch > 1 else None
        found.append(Row(name=name, peer="genlab without its cache", theirs=time, aim=aim, **shared))
    return found
