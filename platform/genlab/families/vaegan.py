"""VAE-GAN (Larsen et al. 2016): a VAE that measures its reconstructions by the features of a GAN's critic."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, full_precision, require
from genlab.families.alternating import Alternating, Loss
from genlab.families.base import NetworkFactory, OptimizerFactory
from genlab.families.latent_variable import DecoderFactory, EncoderFactory, LatentVariableModel
from genlab.families.parts import scaled_gradient
from genlab.families.schedules import Schedule
from genlab.networks import (
    ConvDecoder,
    ConvEncoder,
    DCGANCritic,
    DiagonalPosterior,
    PosteriorFactory,
    PriorFactory,
    StandardPrior,
)
from genlab.objectives import AdversarialObjective, divergence, feature_distance
from genlab.probability import LatentDistribution


class VAEGAN(Alternating, LatentVariableModel):
    """VAE-GAN: z ~ p(z), x = decoder(z), reconstructions being close where the critic's features are.

    Each player is moved by its own loss alone, with F = -E_q log N(D_l(x); D_l(decoder(z)), scale^2 I):

        encoder: KL(q(z | x) || p(z)) + F
        decoder: gamma F + the generator's loss on decoder(z), z ~ q(z | x), and on decoder(z_p), z_p ~ p(z)
        critic: the GAN's loss on x against both of these

    The critic's two kinds of fakes weigh half each; in the paper each weighs as much as the data. With the loss
    Minimax, the decoder's part in the game is minus the critic's.

    Args:
        spec: of the data.
        encoder: makes, from the spec and a number of features, the network from x to q(z | x)'s parameters.
        decoder: makes, from the spec, the latents' dimension and the data's channels, the network from z to the data
            before a hyperbolic tangent.
        critic: makes D from the data's spec without classes: (x, condition) -> (B,), with `maps(x)`, and `num_maps`.
        latent_dim: dimension D of z.
        gamma: weight of F in the decoder's loss, positive.
        level: which of the critic's maps D_l is; from the last one where negative.
        scale: of the features about those of the data, positive; 1 in the paper, whose features are batch-normalised.
            Where F is far below the KL of a code worth having, the posterior becomes the prior.
        objective: of the game.
        optimizer: factory of the encoder's and decoder's optimiser.
        critic_optimizer: factory of the critic's; None for the same.
        schedule: of both learning rates.
        clips: largest norms of encoder's and decoder's gradient together, and of the critic's; None for any.
        dequantise: add uniform noise within its level's bin to each value of the data, so that the critic can't tell
            them by their levels.
        posterior: makes, from the latents' dimension, what turns the encoder's features into q(z | x).
        prior: makes p(z) from the spec and the latents' dimension.

    Raises:
        UserError: gamma, scale or a clip is not positive; the critic has no such map; `dequantise` on data without
            levels.

    Source: Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", algorithm 1.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = ConvEncoder,
        decoder: DecoderFactory = ConvDecoder,
        critic: NetworkFactory = DCGANCritic,
        latent_dim: int = 16,
        gamma: float = 1.0,
        level: int = -1,
        scale: float = 1.0,
        objective: AdversarialObjective | None = None,
        optimizer: OptimizerFactory = torch.optim.Adam,
        critic_optimizer: OptimizerFactory | None = None,
        schedule: Schedule | None = None,
        clips: tuple[float | None, float | None] = (None, None),
        dequantise: bool = False,
        posterior: PosteriorFactory = DiagonalPosterior,
        prior: PriorFactory = StandardPrior,
    ):
        super().__init__(spec, latent_dim, optimizer, schedule)
        for argument, value in {"gamma": gamma, "scale": scale}.items():
            require(value > 0, argument, value, "a positive number", "use 1")
        data = self.spec[self.spec.data]
        self.take_turns(critic_optimizer, clips=clips, dequantise=dequantise)
        self.make_parts(encoder, decoder, data.shape[0], posterior, prior)
        self.critic = critic(DataSpec(self.spec.name, {self.spec.data: data}))
        num, name = getattr(self.critic, "num_maps", 0), type(self.critic).__name__
        require(num > 0, "critic", name, "a critic with `maps(x)`", "use DCGANCritic")
        require(-num <= level < num, "level", level, f"{-num} to {num - 1}", "choose one of its maps")
        self.gamma, self.level, self.scale = gamma, level, scale
        self.objective = objective or AdversarialObjective()

    def to_data(self, params: Tensor) -> Tensor:
        return full_precision(params).tanh()

    def critic_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        return self._game(self.objective, x, step)

    def model_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        q = self.posterior(x)
        z, log_q = q.draw(torch.randn(1, *q.mean.shape, device=x.device))
        p = self.prior(q.mean)
        kl = divergence(q, p, z, log_q)[0].mean()
        # Weighted by gamma at the decoder, on whose far side the encoder is to get the whole of it.
        distance = self._distance(x, scaled_gradient(z[0], 1 / self.gamma))
        game, terms = self.objective.generator(self.critic, self._fakes(z[0].detach(), p))
        loss = kl + self.gamma * distance + game
        return loss, {"kl": kl, "feature_distance": distance, **terms}

    def _game(self, objective: AdversarialObjective, x: Tensor, step: int) -> Loss:
        """What the critic minimises."""
        with torch.no_grad():
            q = self.posterior(x)
            fake = self._fakes(q.sample(torch.randn_like(q.mean)), self.prior(q.mean))
        return objective.critic(self.critic, x, fake, None, step)

    def _distance(self, x: Tensor, z: Tensor) -> Tensor:
        """F of data x by latents z, a number."""
        with torch.no_grad():
            of_data = self.critic.maps(x)[self.level]
        features = self.critic.maps(self.to_data(self.decoder(z)))[self.level]
        return feature_distance(features, of_data, self.scale).mean()

    def _fakes(self, z: Tensor, prior: LatentDistribution) -> Tensor:
        """Decoded z, and as many decoded draws of the prior: (2 B, ...)."""
        drawn = prior.sample(torch.randn_like(z)).detach()
        return self.to_data(self.decoder(torch.cat([z, drawn])))

    def _step(self, phase: str, batch: dict[str, Tensor]) -> None:
        """The losses of the players on held-out data, and the reconstructions' mean squared error."""
        x, _ = self.batch_parts(batch)
        loss, terms = self.model_loss(x, None, 0)
        terms |= self._game(self.objective.unregularised(), x, 0)[1]
        data = self.data_of(batch)
        mse = (self.reconstruct(data) - data).square().mean()
        self.log_terms(phase, {"loss": loss, "mse": mse, **terms}, batch)
