"""Cascades: a model of small images, and a super-resolution model that is conditioned on them."""

from typing import Any

import torch
from torch import Tensor

from genlab.core import (
    CanSample,
    Condition,
    DataSpec,
    Frozen,
    HasLosses,
    ModalitySpec,
    RandomStreams,
    derive_seed,
    expand_like,
    require,
    require_same_data,
    why_no_samples,
)
from genlab.families.one_part import OnePart
from genlab.families.parts import PartFactory, check_part
from genlab.families.requests import droppable
from genlab.probability import GaussianPath, LinearPath


class Cascade(OnePart):
    """p(x) = p(low) p(x | low), where x is conditioned on noised low = alpha(s) low + sigma(s) eps, and on s.

    What is trained is p(x | low); p(low) is a model that was trained before, a cascade again if it is one of more
    than two resolutions, whose averaged weights the checkpoint of the whole holds. In training s is uniform on
    [0, augmentation]: a model that has seen noised images does not take what the base does wrong for detail.

    Args:
        spec: of the data, with a modality `low_resolution` beside their `image`, and no `vector`.
        base: a trained model that samples images like `low_resolution`.
        super_resolution: makes, from the spec with s as modality `vector`, the family that is trained: a
            `Diffusion`. Its optimiser and schedule are those of the training.
        path: of the noise on the low-resolution images; None is the linear path.
        augmentation: largest s in training, in [0, 1].
        level: s in sampling, at most `augmentation`.

    Raises:
        UserError: the data have no low resolution, the base samples other data, a level is out of its range, the
            super-resolution model has no losses, can't sample, or does not take image and vector.

    Source: Ho et al. 2022, "Cascaded diffusion models for high fidelity image generation", section 4.2.
    """

    part_name = "super_resolution"

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        base: Frozen,
        super_resolution: PartFactory,
        path: GaussianPath | None = None,
        augmentation: float = 0.5,
        level: float = 0.1,
    ):
        super().__init__(spec)
        check_part("base", base.model, CanSample)
        data = self.spec
        small = {**data.modalities, data.data: data["low_resolution"]}
        require_same_data("base", base.model.spec, DataSpec(data.name, small), classes=base.model.conditional)
        require("vector" not in data, "data", "a vector per image", "none", "choose other data")
        require(0 <= augmentation <= 1, "augmentation", augmentation, "a time in [0, 1]", "use 0.5")
        expected = f"a time in [0, {augmentation}], as in training"
        require(0 <= level <= augmentation, "level", level, expected, "lower it, or raise augmentation")
        lacks, name = why_no_samples(base.model), type(base.model).__name__
        require(not lacks, "base", name, "a model that can sample", f"{lacks}: choose another one")
        self.path, self.augmentation, self.level = path or LinearPath(), augmentation, level
        self.base = base
        with_level = {**data.modalities, "vector": ModalitySpec((1,))}
        self.super_resolution = super_resolution(DataSpec(data.name, with_level))
        check_part("super_resolution", self.super_resolution, HasLosses, CanSample)
        for kind in ("image", "vector"):
            takes, expected = self.super_resolution.conditions, f"one that takes {kind}"
            require(kind in takes, "super_resolution", takes, expected, "choose another network")
        more = set(self.super_resolution.needed_conditions) - {"image", "vector"}
        lost = droppable(takes, self.super_resolution.label_dropout)
        more |= set() if base.model.conditional or "label" in lost else {"label"} & set(takes)
        expected, remedy = "one that needs image and vector alone", "set its label_dropout above 0"
        require(not more, "super_resolution", f"one that needs {', '.join(sorted(more))}", expected, remedy)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The class, where the base takes it, and a low-resolution image, which takes the base's place."""
        return ("label", "image") if self.base.model.conditional else ("image",)

    @property
    def needed_conditions(self) -> tuple[str, ...]:
        """None: low-resolution images come from the base."""
        return ()

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The super-resolution model's, at random levels of noise on the low-resolution images."""
        low = batch["low_resolution"]
        s = self.augmentation * torch.rand(len(low), device=low.device)
        noised = {"low_resolution": self._noised(low, s, torch.randn_like(low)), "vector": s[:, None]}
        return self.super_resolution.losses(phase, {**batch, **noised})

    def asked(
        self, num_samples: int, condition: Condition | None, rng: RandomStreams
    ) -> tuple[Condition, RandomStreams]:
        """Of the super-resolution model: to enlarge the base's samples, noised a little.

        Args:
            num_samples: how many, as many as rng has streams.
            condition: their classes, which are drawn evenly where they are not given; low-resolution images
                (B, C, h, w) in the place of the base's.
            rng: where the base's noise comes from; that of the super-resolution is apart from it.

        Raises:
            UserError: rng or the condition are for another number of samples, or there is no such condition.
        """
        self.check_request(num_samples, condition, rng)
        condition = (condition or Condition()).to(self.device)
        label, low = condition.label, condition.image
        # By its shape as well: the base may be a cascade.
        ours = RandomStreams(derive_seed("cascade", rng.seed, str(self.spec.shape)), rng.indices, self.device)
        if label is None and self.conditional:
            label = ours.integers(self.spec.num_classes)
        if low is None:
            asked = None if label is None else Condition(label=label)
            low = self.base.model.sample(num_samples, condition=asked, rng=rng)
        return self.enlarging(low, label, ours), ours

    def enlarging(self, low: Tensor, label: Tensor | None, rng: RandomStreams) -> Condition:
        """The super-resolution model's condition: images (B, C, h, w), noised as far as `level`, and their classes."""
        s = torch.full((len(low),), self.level, device=self.device)
        noised = self._noised(low, s, rng.normal(low.shape[1:]))
        known = label if "label" in self.super_resolution.conditions else None
        return Condition(label=known, image=noised, vector=s[:, None])

    def sampling_protocol(self) -> dict[str, object]:
        """The super-resolution model's, the level, and the base's; evaluations of both, where they are known."""
        base = {f"base_{name}": value for name, value in self.base.model.sampling_protocol().items()}
        ours = self.super_resolution.sampling_protocol()
        counts = ours.get("nfe"), base.get("base_nfe")
        return {**ours, "nfe": None if None in counts else sum(counts), "level": self.level, **base}

    def _noised(self, low: Tensor, s: Tensor, eps: Tensor) -> Tensor:
        s = expand_like(s, low)
        return self.path.alpha(s) * low + self.path.sigma(s) * eps
