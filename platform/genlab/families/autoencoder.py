"""Autoencoders: plain, sparse, contractive and denoising."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from genlab.core import DataSpec, ModalitySpec, RandomStreams, require
from genlab.families.base import GenerativeModel, OptimizerFactory
from genlab.families.schedules import Schedule
from genlab.networks import ConvDecoder, ConvEncoder
from genlab.objectives import Reconstruction

EncoderFactory = Callable[[DataSpec, int], nn.Module]
DecoderFactory = Callable[[DataSpec, int, int], nn.Module]


class Autoencoder(GenerativeModel):
    """z = f(x) and back, x ~ g(z); what makes it sparse, contractive or denoising is a part of the objective.

    It does not sample; `LatentDensity` on top of it does.

    Args:
        spec: of the data.
        encoder: makes f, from the spec and the number D of latents.
        decoder: makes g, from the spec, D and the number of channels of its output.
        latent_dim: D.
        activation: of the codes, such as torch.nn.Sigmoid for `KLSparsity` or torch.nn.ReLU; None for none.
        objective: the training loss; None is the squared error alone.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: latent_dim is not positive, or a penalty is not for codes of this activation.

    Source: Hinton and Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks"; Vincent et al.
    2010, "Stacked denoising autoencoders"; Rifai et al. 2011, "Contractive auto-encoders".

    >>> model = Autoencoder(DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17)}), latent_dim=4)
    >>> x = torch.zeros(2, 1, 8, 8)
    >>> model.encode(x).shape, model.reconstruct(x).shape, sorted(model.losses("val", {"image": x}))
    (torch.Size([2, 4]), torch.Size([2, 1, 8, 8]), ['loss', 'mse'])
    """

    conditions = ()

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = ConvEncoder,
        decoder: DecoderFactory = ConvDecoder,
        latent_dim: int = 16,
        activation: nn.Module | None = None,
        objective: Reconstruction | None = None,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        super().__init__(spec, optimizer, schedule)
        require(latent_dim >= 1, "latent_dim", latent_dim, "a positive integer", "raise it")
        self.latent_dim = latent_dim
        self.encoder = encoder(self.spec, latent_dim)
        self.decoder = decoder(self.spec, latent_dim, self.spec.shape[0])
        self.activation = activation or nn.Identity()
        self.objective = objective or Reconstruction()
        self.objective.check(self.activation, latent_dim)

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` of a batch, a mean over samples, and the objective's terms."""
        loss, terms = self.objective(self.data_of(batch), self._code, self.decoder)
        return {"loss": loss.mean(), **terms}

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        return self.reconstruct(self.data_of(batch))

    @property
    def latent_spec(self) -> DataSpec:
        """(D,), or (D / (h w), h, w) where the encoder makes a map of that height and width."""
        grid = getattr(self.encoder, "grid", ())
        return DataSpec(self.spec.name, {"latent": ModalitySpec((self.latent_dim // math.prod(grid), *grid))})

    def encode(self, x: Tensor) -> Tensor:
        """Codes of x as they are, uncorrupted, in the shape of `latent_spec`."""
        return self._code(x).unflatten(1, self.latent_spec.shape)

    def decode(self, z: Tensor) -> Tensor:
        """Data (B, *spec.shape) of codes as `encode` gives them; images in [-1, 1]."""
        x = self.decoder(z.flatten(1))
        return x.clamp(-1, 1) if self.spec.data == "image" else x

    def reconstruct(self, x: Tensor) -> Tensor:
        """The decoding of x's code."""
        return self.decode(self.encode(x))

    @property
    def can_denoise(self) -> bool:
        """Whether it was trained on corrupted data."""
        return self.objective.corruption is not None

    def corrupt(self, x: Tensor, rng: RandomStreams) -> Tensor:
        """x as it is seen in training, with the noise of one stream per datum.

        Raises:
            UserError: it is trained on data as they are.
        """
        require(self.can_denoise, "objective", "no corruption", "a denoising autoencoder", "train one")
        return self.objective.corruption(x, rng.to(x.device))

    def denoise(self, x: Tensor) -> Tensor:
        """What it makes of corrupted data."""
        return self.reconstruct(x)

    def corruption_protocol(self) -> dict[str, object]:
        """What `corrupt` does, as primitives."""
        return {"corruption": repr(self.objective.corruption)}

    def _code(self, x: Tensor) -> Tensor:
        return self.activation(self.encoder(x))
