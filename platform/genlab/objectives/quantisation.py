"""What autoencoders with codes are trained by."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from genlab.core import ModalitySpec, require


class Codes(Protocol):
    """What a quantiser says of a batch: loss terms per sample, (B,)."""

    commitment: Tensor
    codebook: Tensor
    entropy: Tensor


class Perceptual:
    """A distance of images as people see them."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Of images (B, C, H, W) in [-1, 1], per sample, (B,); gradients reach both."""
        raise NotImplementedError

    def check(self, modality: ModalitySpec) -> None:
        """Refuse images that it can't compare.

        Raises:
            UserError: naming `perceptual`; by default nothing is asked of them.
        """

    def check_weights(self) -> None:
        """Refuse to begin without the weights of its network, which are not fetched yet.

        Raises:
            UserError: naming `perceptual`; by default there are none.
        """


class QuantisedReconstruction:
    """Loss -log p(x | z_q) / n + perceptual weight d(x, x') + beta commitment + codebook + gamma entropy.

    n is the number of values of x, and x' the mean of p(x | z_q). Terms, as means and without weights: `reconstruction`
    (nats per sample), `commitment` and `entropy` (zero for quantisers without), and `perceptual` where there is d.

    Args:
        commitment: beta.
        entropy: gamma.
        perceptual: d; None is without.
        perceptual_weight: of d.

    Raises:
        UserError: a weight is negative.

    Source: van den Oord et al. 2017, "Neural discrete representation learning", eq. 3; perceptual: Esser et al.
    2021, section 3.1; entropy: Yu et al. 2024, section 3.1.
    """

    def __init__(
        self,
        commitment: float = 0.25,
        entropy: float = 0.1,
        perceptual: Perceptual | None = None,
        perceptual_weight: float = 1.0,
    ):
        weights = {"commitment": commitment, "entropy": entropy, "perceptual_weight": perceptual_weight}
        for name, weight in weights.items():
            require(weight >= 0, name, weight, "a non-negative number", "use 0 for none")
        self.commitment, self.entropy = commitment, entropy
        self.perceptual, self.perceptual_weight = perceptual, perceptual_weight

    @property
    def compared(self) -> Perceptual | None:
        """d, where it weighs anything."""
        return self.perceptual if self.perceptual_weight > 0 else None

    def reconstruction(self, x: Tensor, log_p: Tensor, mean: Callable[[], Tensor]) -> tuple[Tensor, dict]:
        """The part of the loss that compares images, (B,), and its terms.

        Args:
            x: data, (B, ...) in [-1, 1].
            log_p: log p(x | z_q) in nats, (B,).
            mean: gives x'.
        """
        loss, terms = -log_p / x[0].numel(), {"reconstruction": -log_p.mean()}
        if self.compared is not None:
            distance = self.compared(x, mean())
            loss = loss + self.perceptual_weight * distance
            terms["perceptual"] = distance.mean()
        return loss, terms

    def codes(self, codes: Codes) -> tuple[Tensor, dict]:
        """The part of the loss that draws features and codes together, (B,), and its terms."""
        loss = self.commitment * codes.commitment + codes.codebook + self.entropy * codes.entropy
        terms = {"commitment": codes.commitment.mean(), "entropy": codes.entropy.mean()}
        return loss, terms


def adaptive_weight(
    loss: Tensor,
    other: Tensor,
    weight: Tensor,
    most: float = 1e4,
    average: Callable[[list[Tensor]], None] | None = None,
) -> Tensor:
    """|grad loss| / |grad other| of two losses at a layer's weight, without gradient, of at most `most`.

    Where processes share a batch, `average` replaces gradients by their means over these, so that all weigh alike.

    Source: Esser et al. 2021, eq. 7.

    >>> w = torch.ones(2, requires_grad=True)
    >>> adaptive_weight(6 * w.sum(), 2 * w.sum(), w).item()
    3.0
    """
    gradients = [torch.autograd.grad(value, weight, retain_graph=True)[0] for value in (loss, other)]
    if average is not None:
        gradients = [gradient.contiguous() for gradient in gradients]  # it writes into them
        average(gradients)
    ours, theirs = (gradient.norm() for gradient in gradients)
    return (ours / theirs.clamp(min=1e-12)).clamp(max=most).detach()
