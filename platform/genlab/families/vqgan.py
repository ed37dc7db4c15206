"""The vector-quantised autoencoder with a critic (Esser et al. 2021)."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, require
from genlab.families.alternating import Alternating, Loss
from genlab.families.base import NetworkFactory, OptimizerFactory
from genlab.families.quantised import DecoderFactory, EncoderFactory, QuantisedAutoencoder
from genlab.families.ranks import average_over_ranks
from genlab.families.schedules import Schedule
from genlab.networks import MapDecoder, MapEncoder, MapQuantiser, PatchCritic
from genlab.objectives import AdversarialObjective, Hinge, QuantisedReconstruction, adaptive_weight
from genlab.probability import Laplace, LikelihoodFactory


class VQGAN(Alternating, QuantisedAutoencoder):
    """An autoencoder through tokens, and a critic that tells reconstructions from data, in turn.

    loss = L_rec + codes + weight lambda L_GAN,  lambda = |grad L_rec| / |grad L_GAN| at the decoder's last layer

    L_rec holds a perceptual distance where the objective has one. Until the critic's step `critic_start`, neither
    learns from the other.

    Args:
        spec, encoder, quantiser, decoder, likelihood, objective: as the `VQVAE`'s; the decoder has its last layer as
            `last`.
        critic: makes D from the spec: (x, condition) -> (B,), or values of patches (B, n).
        adversarial: the game.
        weight: of lambda L_GAN.
        critic_start: batches before the game begins.
        optimizer: factory of the autoencoder's optimiser.
        critic_optimizer: factory of the critic's; None for the same.
        schedule: of both learning rates.
        num_microbatches: parts of a batch whose gradients are accumulated, to save memory.
        clip: largest norm of the autoencoder's gradient; None for any.

    Raises:
        UserError: a number is out of its range; a decoder without `last`; as `VQVAE`.

    Source: Esser et al. 2021, "Taming transformers for high-resolution image synthesis", section 3.1, eq. 4-7.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        encoder: EncoderFactory = MapEncoder,
        quantiser: MapQuantiser | None = None,
        decoder: DecoderFactory = MapDecoder,
        likelihood: LikelihoodFactory = Laplace,
        objective: QuantisedReconstruction | None = None,
        critic: NetworkFactory = PatchCritic,
        adversarial: AdversarialObjective | None = None,
        weight: float = 1.0,
        critic_start: int = 0,
        optimizer: OptimizerFactory = torch.optim.Adam,
        critic_optimizer: OptimizerFactory | None = None,
        schedule: Schedule | None = None,
        num_microbatches: int = 1,
        clip: float | None = None,
    ):
        super().__init__(
            spec,
            encoder=encoder,
            quantiser=quantiser,
            decoder=decoder,
            likelihood=likelihood,
            objective=objective,
            optimizer=optimizer,
            schedule=schedule,
        )
        require(weight >= 0, "weight", weight, "a non-negative number", "use 0 for no adversarial loss")
        require(critic_start >= 0, "critic_start", critic_start, "a number of batches", "use 0 for none")
        last, name = getattr(self.decoder, "last", None), type(self.decoder).__name__
        expected = "a network with its last layer as `last`"
        require(hasattr(last, "weight"), "decoder", name, expected, "use for example MapDecoder")
        self.take_turns(critic_optimizer, num_microbatches=num_microbatches, clips=(clip, None))
        self.critic = critic(self.spec)
        self.adversarial = adversarial or AdversarialObjective(Hinge())
        self.weight, self.critic_start = weight, critic_start

    @property
    def learned_conditions(self) -> tuple[str, ...]:
        """The critic's: samples can be asked for by none."""
        return ("label",) if self.spec.num_classes > 0 else ()

    def critic_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        if step < self.critic_start:
            # Gradients of zero: the optimiser's step counts, which checkpoints hold, go on with the batches.
            return 0 * sum(p.sum() for p in self.critic.parameters()), {}
        with torch.no_grad():
            fake = self.reconstruct(x)  # by way of tokens, where nothing is learned of the codes
        return self.adversarial.critic(self.critic, x, fake, condition, step)

    def model_loss(self, x: Tensor, condition: Condition | None, step: int) -> Loss:
        codes, params = self.through(x)
        mean = self.likelihood.mean(params)
        log_p = self.likelihood.log_prob(x, params)
        per_image, terms = self.objective.reconstruction(x, log_p, lambda: mean)
        code_loss, more = self.objective.codes(codes)
        image_loss = per_image.mean()
        terms |= more | self.code_terms("train", codes.indices)
        loss = image_loss + code_loss.mean()
        if step >= self.critic_start and self.weight > 0:
            fooled, game = self.adversarial.generator(self.critic, mean, condition)
            at = self.decoder.last.weight
            lambda_ = adaptive_weight(image_loss, fooled, at, average=average_over_ranks)
            loss = loss + self.weight * lambda_ * fooled
            terms |= game | {"adaptive_weight": lambda_}
        return loss, {"loss": loss, **terms}
