"""Numbers that networks of tokens and of feature maps can't work with, each refused in one line."""

from functools import partial

import pytest

from genlab.core import DataSpec, ModalitySpec, UserError
from genlab.families import VQVAE
from genlab.networks import (
    GatedPixelCNN,
    HierarchicalQuantiser,
    LookupFree,
    MapDecoder,
    MapEncoder,
    TokenTransformer,
    VectorQuantiser,
)

IMAGES = DataSpec("x", {"image": ModalitySpec((1, 8, 8), num_levels=17)})
TOKENS = DataSpec("x", {"tokens": ModalitySpec((4, 4), num_classes=8)})
PAIR = [VectorQuantiser(4, 8), VectorQuantiser(4, 8)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(TokenTransformer, TOKENS, num_heads=0), "num_heads: got 0, expected at least 1"),
        (partial(TokenTransformer, TOKENS, width=0), "width: got 0, expected at least 1"),
        (partial(TokenTransformer, TOKENS, depth=0), "depth: got 0, expected at least 1"),
        (
            partial(TokenTransformer, TOKENS, mlp_ratio=-1.0),
            "mlp_ratio: got -1.0, expected a positive number",
        ),
        (partial(TokenTransformer, TOKENS, mlp_ratio=0.0), "mlp_ratio: got 0.0, expected a positive number"),
        (partial(GatedPixelCNN, TOKENS, channels=0), "channels: got 0, expected at least 1"),
        (
            partial(MapEncoder, IMAGES, 4, channels=[0, 8]),
            r"channels: got \[0, 8\], expected positive widths",
        ),
        (partial(MapDecoder, IMAGES, 4, 1, channels=[8, -8]), r"channels: got \[8, -8\], expected positive"),
        (partial(MapEncoder, IMAGES, 4, num_blocks=-1), "num_blocks: got -1, expected a non-negative"),
        (partial(MapDecoder, IMAGES, 4, 1, num_blocks=-1), "num_blocks: got -1, expected a non-negative"),
        (partial(HierarchicalQuantiser, PAIR, 0), "channels: got 0, expected a positive integer"),
        (partial(HierarchicalQuantiser, PAIR, 8, num_blocks=-1), "num_blocks: got -1, expected a non-negat"),
    ],
)
def test_each_is_named(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_maps_of_encoder_and_decoder_that_differ():
    parts = (
        partial(MapEncoder, channels=[8, 8]),
        VectorQuantiser(4, 8),
        partial(MapDecoder, channels=[8, 8, 8]),
    )
    with pytest.raises(
        UserError, match=r"decoder: got 'one of maps \(2, 2\)', expected the encoder's \(4, 4\)"
    ):
        VQVAE(IMAGES, *parts)


def test_codes_that_are_too_many_to_count():
    with pytest.raises(UserError, match="quantiser: got '1,099,511,627,776 codes', expected at most"):
        VQVAE(IMAGES, quantiser=LookupFree(40))
