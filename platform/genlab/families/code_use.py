"""How much of their codebooks models use: of a batch in training, of the whole set elsewhere."""

import torch
from torch import Tensor

from genlab.families.base import GenerativeModel
from genlab.metrics import codebook_perplexity, codebook_usage


class CodeUse(GenerativeModel):
    """Counts a quantiser's indices. A subclass has a `quantiser`, its `grid`, and `bits`."""

    _counts: Tensor | None = None  # (codebooks, num_codes), over the set that is gone through

    def code_terms(self, phase: str, indices: Tensor) -> dict[str, Tensor]:
        """In training the batch's `perplexity`; elsewhere nothing, but the indices are counted."""
        counts = self._counted(indices)
        if phase == "train":
            return {"perplexity": codebook_perplexity(counts).mean()}
        if self._counts is not None:
            self._counts += counts
        return {}

    def on_validation_epoch_start(self) -> None:
        codebooks = len(self._codebooks(torch.zeros(1, *self.quantiser.token_shape(self.grid))))
        self._counts = torch.zeros(codebooks, self.quantiser.num_codes, dtype=torch.int64, device=self.device)

    def on_validation_epoch_end(self) -> None:
        self._log_use("val")

    def on_test_epoch_start(self) -> None:
        self.on_validation_epoch_start()

    def on_test_epoch_end(self) -> None:
        self._log_use("test")

    def _log_use(self, phase: str) -> None:
        counts, self._counts = self.trainer.strategy.reduce(self._counts, reduce_op="sum"), None
        perplexity, usage = codebook_perplexity(counts).mean(), codebook_usage(counts).mean()
        terms = {"perplexity": perplexity, "usage": usage, "bits": torch.tensor(self.bits)}
        self.log_dict({f"{phase}/{name}": value.to(self.device) for name, value in terms.items()})

    def _codebooks(self, indices: Tensor) -> list[Tensor]:
        return self.quantiser.by_codebook(indices, self.grid)

    def _counted(self, indices: Tensor) -> Tensor:
        num = self.quantiser.num_codes
        return torch.stack([torch.bincount(own.flatten(), minlength=num) for own in self._codebooks(indices)])
