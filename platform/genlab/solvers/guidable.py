"""What a guidance asks of the model that it shall guide."""

from collections.abc import Collection
from dataclasses import dataclass

from genlab.core import DataSpec, require
from genlab.probability import GaussianPath


@dataclass(frozen=True)
class Guidable:
    """A model as its guidance sees it, before anything is sampled.

    Args:
        path: of its denoiser.
        droppable: kinds of condition that it was trained both with and without.
        has_score: whether -eps / sigma is the score of x_t, as it is where noise does not depend on the data.
        spec: of its data; None where that is not known, as of a denoiser by itself.
        conditions: kinds that its network takes.
        told: whether a guidance within this one works by the condition, which has to reach it.
    """

    path: GaussianPath
    droppable: Collection[str] = ()
    has_score: bool = True
    spec: DataSpec | None = None
    conditions: tuple[str, ...] = ()
    told: bool = False

    def require_path(self, argument: str, got: GaussianPath) -> None:
        """Refuse a guide on another path.

        Raises:
            UserError: naming both paths.
        """
        theirs, ours = got.protocol(), self.path.protocol()
        require(theirs == ours, argument, theirs, f"the path {ours}", "train both on one path")

    def require_score(self, guidance: object) -> None:
        """Refuse a guidance that adds to the score, of a model that has none.

        Raises:
            UserError: naming the guidance.
        """
        expected = "a model with a score, which noise that is coupled with the data does not leave"
        remedy = "use classifier-free guidance, or train with IndependentCoupling"
        require(self.has_score, "guidance", type(guidance).__name__, expected, remedy)
