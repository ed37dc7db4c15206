"""The vector-quantised autoencoder (van den Oord et al. 2017), of any quantiser."""

from genlab.families.quantised import QuantisedAutoencoder


class VQVAE(QuantisedAutoencoder):
    """Autoencoder through tokens: x ~ p(x | decoder(z_q)), z_q the codes next to encoder(x), straight through.

    VQ-VAE-2 is the same with a `HierarchicalQuantiser`. It does not sample: `TokenPrior` does, of its tokens.

    Args:
        spec, encoder, quantiser, decoder, likelihood, objective, optimizer, schedule: as `QuantisedAutoencoder`'s.

    Raises:
        UserError: as `QuantisedAutoencoder`.

    Source: van den Oord et al. 2017, "Neural discrete representation learning"; Razavi et al. 2019, "Generating diverse
    high-fidelity images with VQ-VAE-2".

    >>> import torch
    >>> from functools import partial
    >>> from genlab.core import DataSpec, ModalitySpec
    >>> from genlab.networks import MapDecoder, MapEncoder, VectorQuantiser
    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17)})
    >>> narrow = {"channels": [8, 8], "num_blocks": 1}
    >>> parts = partial(MapEncoder, **narrow), VectorQuantiser(4, 8), partial(MapDecoder, **narrow)
    >>> model = VQVAE(spec, *parts).eval()
    >>> tokens = model.tokenize(torch.zeros(2, 1, 8, 8))
    >>> tokens.shape, model.bits, model.detokenize(tokens).shape
    (torch.Size([2, 4, 4]), 48.0, torch.Size([2, 1, 8, 8]))
    """
