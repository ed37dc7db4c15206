"""log p(x) of latent-variable models by importance sampling with their posterior (Burda et al. 2016)."""

from abc import abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genlab.core import Condition, LogProb, RandomStreams, require
from genlab.families.with_likelihood import WithLikelihood
from genlab.objectives import log_mean_exp


class ImportanceSampled(WithLikelihood):
    """Gives a family with a posterior its log p(x) from below, of weights that the family computes from noise.

    Attributes:
        latent_dim: D, numbers of noise per draw.
    """

    latent_dim: int

    def set_draws(self, num_importance_samples: int, chunk_size: int) -> None:
        """K of `log_prob`, where 1 is the ELBO; and most rows (x, z) at once, though never less than the batch.

        Raises:
            UserError: either is not positive.
        """
        numbers = {"num_importance_samples": num_importance_samples, "chunk_size": chunk_size}
        for name, number in numbers.items():
            require(number >= 1, name, number, "a positive integer", "raise it")
        self.num_importance_samples, self.chunk_size = num_importance_samples, chunk_size

    def log_prob(
        self,
        x: Tensor,
        *,
        condition: Condition | None = None,
        rng: RandomStreams | None = None,
        num_samples: int | None = None,
    ) -> LogProb:
        """log p(x) in nats from below, (B,): log (1/K) sum_k p(x, z_k) / q(z_k | x) (Burda et al. 2016, eq. 8).

        Args:
            x: data, (B, ...) in [-1, 1].
            condition: of each x, or None for the unconditional model.
            rng: the noise of z_k, a stream per x; without it, that of seed 0.
            num_samples: K; without it, the model's `num_importance_samples`.

        Raises:
            UserError: K is not positive, rng or the condition are for another number of data, or the model is
                unconditional.
        """
        rng = rng or RandomStreams(0, len(x))
        self.check_request(len(x), condition, rng)
        count = self.num_importance_samples if num_samples is None else num_samples
        require(count >= 1, "num_samples", count, "a positive integer", "use 500")
        with self.evaluating():
            weigh, rng = self.weigher(x, condition), rng.to(x.device)
            noise = (self._noise(rng, k) for k in self._chunks(count, len(x)))
            weights = torch.cat([weigh(eps) for eps in noise])
        method, kind = (f"IWAE, {count} samples", "estimate") if count > 1 else ("ELBO, 1 sample", "bound")
        return LogProb(log_mean_exp(weights), kind, self.likelihood.measure, method)

    @abstractmethod
    def weigher(self, x: Tensor, condition: Condition | None) -> Callable[[Tensor], Tensor]:
        """Noise eps of K draws z_k of q(z | x), (K, B, D) -> log p(x, z_k) / q(z_k | x), (K, B)."""

    def _noise(self, rng: RandomStreams, num: int) -> Tensor:
        return torch.stack([rng.normal((self.latent_dim,)) for _ in range(num)])

    def _chunks(self, count: int, batch_size: int) -> Iterator[int]:
        """So many draws for each of a batch as numbers of draws at a time."""
        per_chunk = max(1, self.chunk_size // batch_size)
        for start in range(0, count, per_chunk):
            yield min(per_chunk, count - start)
