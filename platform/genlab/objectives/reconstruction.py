"""What autoencoders are trained by: the error of a reconstruction, and penalties on codes."""

from collections.abc import Callable, Sequence

from torch import Tensor

from genlab.core import full_precision, sum_per_sample
from genlab.objectives.code_penalties import ChecksActivation, CodePenalty
from genlab.objectives.corruption import Corruption


class Reconstruction:
    """Loss |x - g(f(x'))|^2 per sample, where x' is x, or a corrupted x; and penalties.

    Without parts, a plain autoencoder; with a corruption a denoising one; with a penalty a sparse or a contractive
    one. Terms: `mse`, the squared error per value, and those of the penalties.

    Args:
        corruption: of what is encoded; None for none.
        penalties: on the codes.

    Source: Vincent et al. 2010, "Stacked denoising autoencoders", eq. 7 and section 3.1.
    """

    def __init__(self, corruption: Corruption | None = None, penalties: Sequence[CodePenalty] = ()):
        self.corruption, self.penalties = corruption, list(penalties)

    @property
    def differentiates_twice(self) -> bool:
        """Whether the loss holds a derivative of the encoder."""
        return any(getattr(penalty, "differentiates_twice", False) for penalty in self.penalties)

    def check(self, activation: Callable[[Tensor], Tensor], latent_dim: int) -> None:
        """Refuse an activation whose codes a penalty can't be computed of.

        Raises:
            UserError: naming `activation`.
        """
        for penalty in self.penalties:
            if isinstance(penalty, ChecksActivation):
                penalty.check(activation, latent_dim)

    def __call__(
        self, x: Tensor, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss per sample, (B,), and named terms as scalars.

        Args:
            x: data, (B, ...).
            encode: f, x to codes (B, D).
            decode: g, codes to x's shape.
        """
        seen = x if self.corruption is None else self.corruption(x)
        z = full_precision(encode(seen))
        loss = sum_per_sample((full_precision(decode(z)) - x).square())
        terms = {"mse": loss.mean() / x[0].numel()}
        for penalty in self.penalties:
            value, more = penalty(seen, z, encode)
            loss, terms = loss + value, {**terms, **more}
        return loss, terms
