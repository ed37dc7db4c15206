"""Down a ladder of latents: what a decoder's parameters make of each level, and its draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Size, Tensor, nn

from genlab.core import Condition
from genlab.probability import DiagonalGaussian, Level, LevelPosterior

# z_l of a level's number (0 is the top), its prior, and its posterior, which is None where there is no x.
Choice = Callable[[int, DiagonalGaussian, DiagonalGaussian | None], Tensor]


@dataclass(frozen=True)
class LadderDescent:
    """The way down a decoder, level by level: q(z | x) = prod_l q(z_l | z_<l, x) or p(z) = prod_l p(z_l | z_<l).

    Args:
        decoder: that of a `HierarchicalVAE`.
        posterior: how q(z_l | z_<l, x) is made from p(z_l | z_<l).
    """

    decoder: nn.Module
    posterior: LevelPosterior

    @property
    def shapes(self) -> list[Size]:
        """(C, h, w) of the levels, the top one's first."""
        return [Size(shape) for shape in self.decoder.latent_shapes]

    @property
    def dim(self) -> int:
        """Numbers D in the latents of all levels."""
        return sum(shape.numel() for shape in self.shapes)

    def maps(self, eps: Tensor) -> list[Tensor]:
        """Noise of all levels, (B, D), as maps (B, C, h, w) of each."""
        parts = eps.split([shape.numel() for shape in self.shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def __call__(
        self,
        choose: Choice,
        num: int,
        features: Sequence[Tensor] | None = None,
        condition: Condition | None = None,
    ) -> tuple[Tensor, list[Level]]:
        """The likelihood's parameters, and the levels passed, the top one first.

        Args:
            choose: z_l of each level.
            num: of samples.
            features: of the encoder, for posteriors; None without x.
            condition: of each sample, or None.
        """
        levels: list[Level] = []

        def draw(of_prior: Tensor, of_posterior: Tensor | None) -> Tensor:
            prior = DiagonalGaussian.from_params(of_prior)
            posterior = None if of_posterior is None else self.posterior(prior, of_posterior)
            levels.append(Level(prior, posterior, choose(len(levels), prior, posterior)))
            return levels[-1].z

        return self.decoder(draw, num, features, condition), levels

    def from_posterior_noise(
        self, eps: Tensor, features: Sequence[Tensor], condition: Condition | None = None
    ) -> tuple[Tensor, list[Level]]:
        """Parameters and levels at z_l = mu_l + sigma_l eps_l of the posteriors, of eps (B, D)."""
        maps = self.maps(eps)
        return self(lambda i, _, posterior: posterior.sample(maps[i]), len(eps), features, condition)

    def from_noise(self, eps: Tensor, condition: Condition | None = None) -> Tensor:
        """The likelihood's parameters at z_l = mu_l + sigma_l eps_l of the priors, of eps (B, D)."""
        maps = self.maps(eps)
        return self(lambda i, prior, _: prior.sample(maps[i]), len(eps), None, condition)[0]
