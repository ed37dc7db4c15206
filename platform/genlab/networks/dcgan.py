"""Deep convolutional generator and critic, class-conditional, for images from 8x8 up."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlab.core import Condition, DataSpec
from genlab.networks.blocks import coarsest
from genlab.networks.conditional_norm import ConditionalNorm, Normalisation
from genlab.networks.embeddings import ConditionEmbedding
from genlab.networks.spectral_norm import spectral_norm


class DCGANGenerator(nn.Module):
    """z and class -> image: a linear map to the coarsest resolution, then transposed convolutions.

    Args:
        spec: of the data; its image size over 2^(len(channels) - 1) is the coarsest resolution.
        channels: per resolution, coarsest first.
        latent_dim: of z.
        embedding_dim: of the class vector put beside z; 0 for none.
        norm: after each layer, with gain and bias per class.

    Raises:
        UserError: the image cannot be halved as often as `channels` asks.

    Source: Radford, Metz and Chintala 2016, section 3.

    >>> from genlab.core import ModalitySpec
    >>> modalities = {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=10)}
    >>> spec = DataSpec("digits", modalities)
    >>> DCGANGenerator(spec)(torch.zeros(5, 64), Condition(torch.arange(5))).shape
    torch.Size([5, 1, 8, 8])
    """

    def __init__(
        self,
        spec: DataSpec,
        channels: Sequence[int] = (128, 64),
        latent_dim: int = 64,
        embedding_dim: int = 32,
        norm: Normalisation = "group",
    ):
        super().__init__()
        out, *size = coarsest(spec, len(channels), "channels")
        self.latent_dim, self.num_classes = latent_dim, spec.num_classes
        embedding_dim = embedding_dim if self.num_classes else 0
        self.embedding = ConditionEmbedding(embedding_dim, self.num_classes) if embedding_dim else None
        first = channels[0] * size[0] * size[1]
        self.stem = nn.Sequential(
            nn.Linear(latent_dim + embedding_dim, first), nn.Unflatten(1, (channels[0], *size))
        )
        self.norms = nn.ModuleList(ConditionalNorm(c, self.num_classes, norm) for c in channels)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(channels)
        )
        self.out = nn.Conv2d(channels[-1], out, 3, padding=1)

    def forward(self, z: Tensor, condition: Condition | None = None) -> Tensor:
        """Images in [-1, 1], (B, C, H, W), of latents z, (B, latent_dim)."""
        z = z.to(self.out.bias.dtype)
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(condition, len(z))], dim=1)
        x = self.norms[0](self.stem(z), condition).relu()
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = norm(up(x), condition).relu()
        return self.out(x).tanh()


class DCGANCritic(nn.Module):
    """Image and class -> one real number, by strided convolutions and a projection on the class's vector.

    D(x, y) = psi(phi(x)) + v_y . phi(x)

    No layer mixes samples, so that a penalty on each sample's gradient is what it says.

    Args:
        spec: of the data.
        channels: per resolution, finest first.
        spectral: normalise every weight by its largest singular value.
        dropout: probability of losing a channel after each layer but the first.

    Raises:
        UserError: the image cannot be halved as often as `channels` asks.

    Source: Radford et al. 2016, section 3 (layers); Miyato and Koyama 2018, eq. 4 (projection); Miyato et al.
    2018 (spectral norm).

    >>> from genlab.core import ModalitySpec
    >>> modalities = {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=10)}
    >>> spec = DataSpec("digits", modalities)
    >>> DCGANCritic(spec)(torch.zeros(5, 1, 8, 8), Condition(torch.arange(5))).shape
    torch.Size([5])
    """

    def __init__(
        self,
        spec: DataSpec,
        channels: Sequence[int] = (64, 128),
        spectral: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        colours, height, width = coarsest(spec, len(channels), "channels")
        normal = spectral_norm if spectral else nn.Identity()
        self.num_classes, self.dropout, self.num_maps = spec.num_classes, dropout, len(channels)
        self.stem = normal(nn.Conv2d(colours, channels[0], 3, padding=1))
        pairs = pairwise(channels)
        self.downs = nn.ModuleList(normal(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in pairs)
        features = channels[-1] * height * width
        self.head = normal(nn.Linear(features, 1))
        self.embedding = ConditionEmbedding(features, self.num_classes) if self.num_classes else None
        if self.embedding is not None:
            normal(self.embedding.embedding)

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each layer makes of images x, (B, C, H, W), finest first: (B, channels[i], H / 2^i, W / 2^i)."""
        maps = [F.leaky_relu(self.stem(x.to(self.stem.bias.dtype)), 0.2)]
        for down in self.downs:
            maps.append(F.dropout2d(F.leaky_relu(down(maps[-1]), 0.2), self.dropout, self.training))
        return maps

    def forward(self, x: Tensor, condition: Condition | None = None) -> Tensor:
        """Critic's values, (B,), of images x, (B, C, H, W)."""
        h = self.maps(x)[-1].flatten(1)
        value = self.head(h).squeeze(1)
        if self.embedding is not None:
            value = value + (self.embedding(condition, len(x)) * h).sum(1)
        return value
