"""How much of their codebooks models use: of a batch in training, of the whole set elsewhere."""

import torch
from torch import Tensor

from genlab.core import Codebooks
from genlab.families.base import GenerativeModel
from genlab.metrics.codebook import code_counts, code_use, codebook_perplexity


class CodeUse(GenerativeModel):
    """Counts a model's tokens. A subclass has `codebooks`."""

    codebooks: Codebooks

    _counts: Tensor | None = None  # (codebooks, num_codes), over the set that is gone through

    def code_terms(self, phase: str, indices: Tensor) -> dict[str, Tensor]:
        """In training the batch's `perplexity`; elsewhere nothing, but the indices are counted."""
        counts = code_counts(indices, self.codebooks)
        if phase == "train":
            return {"perplexity": codebook_perplexity(counts).mean()}
        if self._counts is not None:
            self._counts += counts
        return {}

    def on_validation_epoch_start(self) -> None:
        shape = self.codebooks.num_levels, self.codebooks.num_codes
        self._counts = torch.zeros(shape, dtype=torch.int64, device=self.device)

    def on_validation_epoch_end(self) -> None:
        self._log_use("val")

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def on_test_epoch_end(self) -> None:
        self._log_use("test")

    def _log_use(self, phase: str) -> None:
        counts, self._counts = self.trainer.strategy.reduce(self._counts, reduce_op="sum"), None
        terms = {**code_use(counts), "bits": torch.tensor(self.codebooks.bits)}
        self.log_dict({f"{phase}/{name}": value.to(self.device) for name, value in terms.items()})
