"""Adversarial losses, each as what the critic and what the generator minimise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor
from torch.nn.functional import relu, softplus

from genlab.core import Condition, full_precision
from genlab.objectives.augmentation import Augmentation
from genlab.objectives.gradient_penalties import CriticRegulariser

Terms = dict[str, Tensor]


class AdversarialLoss(Protocol):
    """A two-player game on the critic's values of real and generated samples, (B,) each, per sample."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the critic minimises, (B,)."""
        ...

    def generator(self, fake: Tensor) -> Tensor:
        """What the generator minimises, (B,)."""
        ...


class Minimax:
    """Critic: -log s(D(x)) - log(1 - s(D(G(z)))), s the sigmoid; generator: log(1 - s(D(G(z)))).

    Source: Goodfellow et al. 2014, eq. 1.
    """

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real) + softplus(fake)

    def generator(self, fake: Tensor) -> Tensor:
        return -softplus(fake)


class NonSaturating(Minimax):
    """Minimax's critic; generator: -log s(D(G(z))) (Goodfellow et al. 2014, section 3)."""

    def generator(self, fake: Tensor) -> Tensor:
        return softplus(-fake)


class LeastSquares:
    """Critic: ((D(x) - 1)^2 + D(G(z))^2) / 2; generator: (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, eq. 9)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * ((real - 1).square() + fake.square())

    def generator(self, fake: Tensor) -> Tensor:
        return 0.5 * (fake - 1).square()


class Hinge:
    """Critic: max(0, 1 - D(x)) + max(0, 1 + D(G(z))); generator: -D(G(z)) (Lim and Ye 2017; Miyato et al.
    2018, eqs. 16 and 17)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real) + relu(1 + fake)

    def generator(self, fake: Tensor) -> Tensor:
        return -fake


class Wasserstein:
    """Critic: D(G(z)) - D(x), to be kept Lipschitz; generator: -D(G(z)) (Arjovsky et al. 2017, eq. 3)."""

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake - real

    def generator(self, fake: Tensor) -> Tensor:
        return -fake


@dataclass(frozen=True)
class AdversarialObjective:
    """A loss, what regularises its critic, and what the critic sees of its images; mean over the batch.

    Args:
        loss: the game.
        regularisers: of the critic.
        augmentation: of real and generated images alike before the critic (and within its penalties).
    """

    loss: AdversarialLoss = field(default_factory=NonSaturating)
    regularisers: Sequence[CriticRegulariser] = ()
    augmentation: Augmentation | None = None

    @property
    def differentiates_twice(self) -> bool:
        """Whether the critic's loss holds a derivative of the critic."""
        return any(regulariser.differentiates_twice for regulariser in self.regularisers)

    def critic(
        self, critic: Callable, real: Tensor, fake: Tensor, condition: Condition | None = None, step: int = 0
    ) -> tuple[Tensor, Terms]:
        """The critic's loss with its penalties, and its terms.

        Args:
            critic: of (images, condition) to values (B,).
            real: data, (B, ...).
            fake: generated, (k B, ...), each datum against k of them; detached here.
            condition: of both.
            step: number of this critic step, for regularisers that are applied every n-th only.
        """
        fake = fake.detach()
        sees = self._bound(critic, condition)
        on_real, on_fake = full_precision(sees(real)), full_precision(sees(fake))
        again = on_real.repeat(len(on_fake) // len(on_real), *[1] * (on_real.dim() - 1))
        loss = self.loss.critic(again, on_fake).mean()
        terms = {"critic_loss": loss, "critic_real": on_real.mean(), "critic_fake": on_fake.mean()}
        for regulariser in self.regularisers:
            if step % regulariser.interval == 0:
                penalty = regulariser(sees, real, fake).mean()
                loss = loss + penalty
                terms[regulariser.name] = penalty
        return loss, terms

    def generator(
        self, critic: Callable, fake: Tensor, condition: Condition | None = None
    ) -> tuple[Tensor, Terms]:
        """The generator's loss and its terms; gradients reach `fake` through the critic."""
        loss = self.loss.generator(full_precision(self._bound(critic, condition)(fake))).mean()
        return loss, {"generator_loss": loss}

    def unregularised(self) -> "AdversarialObjective":
        """The loss alone, on images as they are: for evaluation."""
        return AdversarialObjective(self.loss)

    def _bound(self, critic: Callable, condition: Condition | None) -> Callable[[Tensor], Tensor]:
        augment = self.augmentation or (lambda x: x)
        return lambda x: critic(augment(x), condition)
