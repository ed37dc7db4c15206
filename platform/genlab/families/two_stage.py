"""Priors of what a trained first stage makes of the data: what those of latents and of tokens share."""

from typing import Any, ClassVar

from genlab.core import (
    CanEncode,
    CanSample,
    DataSpec,
    Frozen,
    HasLosses,
    TakesEncoder,
    invalid,
    require,
    require_same_data,
)
from genlab.families.one_part import OnePart
from genlab.families.parts import PartFactory, check_part


class TwoStage(OnePart):
    """A prior over a frozen first stage's codes, which are those of the data, or the batch's own where it holds them.

    Args:
        spec: of the data.
        first_stage: a trained model of these data.
        prior: makes the family that is trained, from the spec of the codes and of the data's conditions.

    Raises:
        UserError: the first stage lacks a capability, or is of data of another name, shape, range or number of
            levels; the data have a modality of the codes' name; the prior has no losses or can't sample.
    """

    part_name = "prior"
    needs: ClassVar[tuple[type, ...]]  # capabilities of the first stage

    def __init__(self, spec: DataSpec | dict[str, Any], first_stage: Frozen, prior: PartFactory):
        super().__init__(spec)
        stage = first_stage.model
        check_part("first_stage", stage, *self.needs)
        data = self.spec
        require_same_data("first_stage", stage.spec, data)
        self.first_stage = first_stage
        codes = self.encoder().latent_spec
        self.latent = codes.data
        got, expected = f"{data.name} with {self.latent} of their own", "data without"
        require(self.latent not in data, "data", got, expected, "choose others: these are the first stage's")
        others = {name: m for name, m in data.modalities.items() if name != data.data}
        self.prior = prior(DataSpec(data.name, {self.latent: codes[self.latent], **others}))
        check_part("prior", self.prior, HasLosses, CanSample)

    def encoder(self) -> CanEncode:
        """What makes codes of data."""
        raise NotImplementedError

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those of the prior."""
        return self.prior.conditions

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """Those of the prior."""
        return self.prior.needed_conditions

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on a first stage of another make.

        Raises:
            UserError: its first stage's weights have other names or shapes: another codebook, for example.
        """
        prefix = "first_stage."
        theirs = {k: tuple(x.shape) for k, x in checkpoint["state_dict"].items() if k.startswith(prefix)}
        mine = {k: tuple(x.shape) for k, x in self.state_dict().items() if k.startswith(prefix)}
        # Levels of a quantiser, which earlier checkpoints do not hold, are compared where they are loaded.
        names = [k for k in {**mine, **theirs} if not k.endswith(".levels")]
        other = next((k for k in names if mine.get(k) != theirs.get(k)), None)
        if other is not None:
            got = f"a first stage with {other.removeprefix(prefix)} {mine.get(other, 'missing')}"
            remedy = "name the first stage that it was trained on, or begin a new run"
            raise invalid("first_stage", got, f"{theirs.get(other, 'none')} as in the checkpoint", remedy)

    def setup(self, stage: str) -> None:
        data = self.trainer.datamodule
        if isinstance(data, TakesEncoder):
            data.take_encoder(self.encoder(), self.first_stage.digest)

    def sampling_protocol(self) -> dict[str, object]:
        """The prior's, and the digest of the first stage's weights."""
        return {**self.prior.sampling_protocol(), "first_stage": self.first_stage.digest}
