"""Models whose latents and tokens are known by hand, for tests of what looks at them."""

import torch
from torch import Tensor, nn

from genlab.core import Codebooks, DataSpec, ModalitySpec, RandomStreams

IMAGES = DataSpec(
    "tiny", {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=5)}
)


class Linear(nn.Module):
    """x = W z of four latents with orthonormal columns in W, posterior N(z, diag(spread)^2), prior N(centre, 2^2 I)."""

    normal_prior = False
    has_latent_kl = True
    latent_spec = DataSpec("tiny", {"latent": ModalitySpec((4,))})

    def __init__(self, spec: DataSpec = IMAGES):
        super().__init__()
        self.spec = spec
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(64, 4, generator=generator))[0]
        self.weight = nn.Parameter(basis)
        self.spread, self.centre = torch.tensor([0.1, 1.0, 0.5, 2.0]), torch.tensor([0.0, 1.0, 0.0, -1.0])

    @property
    def device(self) -> torch.device:
        return self.weight.device

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight

    def encode_draw(self, x: Tensor, rng: RandomStreams) -> Tensor:
        return self.encode(x) + self.spread * rng.normal((4,))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).view(-1, 1, 8, 8)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def sample_latents(self, rng: RandomStreams) -> Tensor:
        return self.centre + 2 * rng.normal((4,))

    def kl_per_dimension(self, x: Tensor) -> Tensor:
        """Stand-ins in a known order: 3, 0, 2, 1."""
        return torch.tensor([3.0, 0.0, 1.0, 4.0]).expand(len(x), 4)

    def rate(self, x: Tensor, rng: RandomStreams) -> Tensor:
        return self.encode(x).square().sum(1)


class Tokenizer(nn.Module):
    """A token for each 2x2 patch: the level of its mean, of 17; a whole patch has its token's level."""

    codebooks = Codebooks(17, ((4, 4),))

    def __init__(self, spec: DataSpec = IMAGES):
        super().__init__()
        self.spec = spec
        self.unused = nn.Parameter(torch.zeros(1))

    def tokenize(self, x: Tensor) -> Tensor:
        return self.spec["image"].levels(nn.functional.avg_pool2d(x, 2)[:, 0])

    def detokenize(self, tokens: Tensor) -> Tensor:
        x = self.spec["image"].values(tokens)[:, None]
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def images(num: int) -> Tensor:
    """Images of random levels, (num, 1, 8, 8)."""
    levels = torch.randint(17, (num, 1, 8, 8), generator=torch.Generator().manual_seed(1))
    return IMAGES["image"].values(levels)
