"""DataSpec: what a data set is made of, so that no model is told a shape twice."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from genlab.core.condition import MODALITIES
from genlab.core.errors import UserError, invalid, require


@dataclass(frozen=True)
class ModalitySpec:
    """One modality of a data set.

    Args:
        shape: of one sample without the batch: (C, H, W) for images, (D,) for vectors, () for labels.
        num_levels: distinct values per entry where data are quantised (256 for bytes, 17 for scikit-learn's
            digits), 0 where they are continuous. Level l of k is stored as its bin's centre,
            x = (2 l + 1) / k - 1, so that values dequantised within their bins stay in [-1, 1].
        num_classes: for labels, how many; 0 elsewhere.
        names: of the classes, or of the factors, where they have any.
        sizes: for the factors that data were made from, how many values each of them has; () elsewhere.
        grids: for a sequence of tokens that lie on several grids, one after another, their shapes; () elsewhere.
    """

    shape: tuple[int, ...] = ()
    num_levels: int = 0
    num_classes: int = 0
    names: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    grids: tuple[tuple[int, ...], ...] = ()

    @property
    def num_values(self) -> int:
        """Entries per sample."""
        return int(torch.Size(self.shape).numel())

    @property
    def bin_width(self) -> float:
        """Width 2 / k of one level's bin in [-1, 1]."""
        return 2.0 / self.num_levels

    def levels(self, x: Tensor) -> Tensor:
        """The nearest level of each value: [-1, 1] float -> 0..k-1 int64."""
        return ((x + 1) / self.bin_width).floor().clamp(0, self.num_levels - 1).long()

    def values(self, levels: Tensor) -> Tensor:
        """Bin centres of levels: 0..k-1 -> float32 in [-1, 1]."""
        return (2 * levels.float() + 1) / self.num_levels - 1

    def quantise(self, x: Tensor) -> Tensor:
        """Round to the nearest level's centre; continuous data come back as they are."""
        return self.values(self.levels(x)).to(x.dtype) if self.num_levels else x

    def dequantise(self, x: Tensor) -> Tensor:
        """Bin centres plus noise that is uniform within each bin, from torch's global generator."""
        return x + (torch.rand_like(x) - 0.5) * self.bin_width


@dataclass(frozen=True)
class DataSpec:
    """A data set's name and its modalities, keyed as its batches are; the first one is what models generate.

    >>> spec = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), num_levels=17),
    ...                            "label": ModalitySpec(num_classes=10)})
    >>> spec.data, spec.shape, spec.num_classes
    ('image', (1, 8, 8), 10)
    >>> DataSpec.of(spec.to_dict()) == spec
    True
    """

    name: str = ""
    modalities: dict[str, ModalitySpec] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: "DataSpec | dict[str, Any]") -> "DataSpec":
        """A DataSpec from itself or from `to_dict()`'s primitives (checkpoints hold those).

        Raises:
            UserError: the dictionary is not a DataSpec's.
        """
        if isinstance(spec, DataSpec):
            return spec
        try:
            modalities = {
                name: ModalitySpec(
                    tuple(m["shape"]),
                    m.get("num_levels", 0),
                    m.get("num_classes", 0),
                    tuple(m.get("names", ())),
                    tuple(m.get("sizes", ())),
                    tuple(tuple(grid) for grid in m.get("grids", ())),
                )
                for name, m in spec["modalities"].items()
            }
            return cls(spec["name"], modalities)
        except (KeyError, TypeError, AttributeError) as error:
            raise invalid("spec", spec, "a DataSpec", "take it from a DataModule's `spec`") from error

    def to_dict(self) -> dict[str, Any]:
        """Primitives only, so that `torch.load(weights_only=True)` takes them."""
        return {
            "name": self.name,
            "modalities": {
                k: {name: _primitive(v) for name, v in asdict(m).items() if name != "grids" or v}
                for k, m in self.modalities.items()
            },
        }

    def __getitem__(self, modality: str) -> ModalitySpec:
        if modality not in self.modalities:
            have = ", ".join(self.modalities)
            raise UserError(
                f"spec: data set {self.name!r} has no {modality!r} (it has {have}); choose other data"
            )
        return self.modalities[modality]

    def __contains__(self, modality: str) -> bool:
        return modality in self.modalities

    @property
    def data(self) -> str:
        """The key of what is generated: the first modality."""
        return next(iter(self.modalities))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one generated sample."""
        return self[self.data].shape

    @property
    def conditions(self) -> "dict[str, ModalitySpec]":
        """What samples can be conditioned on: the modality of each kind of `Condition`, where there is one.

        >>> DataSpec("x", {"image": ModalitySpec((3, 8, 8)), "low_resolution": ModalitySpec((3, 4, 4))}).conditions
        {'image': ModalitySpec(shape=(3, 4, 4), num_levels=0, num_classes=0, names=(), sizes=(), grids=())}
        """
        there = {kind: name for kind, name in MODALITIES.items() if name in self and name != self.data}
        return {kind: self[name] for kind, name in there.items()}

    @property
    def num_classes(self) -> int:
        """Number of classes, 0 for data without labels."""
        return self["label"].num_classes if "label" in self else 0


def require_same_data(argument: str, theirs: DataSpec, ours: DataSpec, *, classes: bool = False) -> None:
    """Refuse a trained model of other data: of another name, shape or number of levels, and of other classes if asked.

    Sizes in names ("digits 32x32") do not count, since shapes do.

    Args:
        argument: that named the model.
        theirs, ours: its data, and those that it is to know.
        classes: whether it is told classes, which then are to be as many.

    Raises:
        UserError: naming both.

    >>> plane = {"vector": ModalitySpec((2,))}
    >>> require_same_data("base", DataSpec("spiral", plane), DataSpec("rings", plane))
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: base: got 'a model of spiral (2,)', expected one of rings (2,); train it on these data
    """
    same = source_of(theirs) == source_of(ours) and theirs[theirs.data] == ours[ours.data]
    same = same and (not classes or theirs.num_classes == ours.num_classes)
    got, expected = (_words(spec, classes) for spec in (theirs, ours))
    require(same, argument, f"a model of {got}", f"one of {expected}", "train it on these data")


def source_of(spec: DataSpec) -> str:
    """The name of the data that these were resized from.

    >>> source_of(DataSpec("digits 32x32")), source_of(DataSpec("digits"))
    ('digits', 'digits')
    """
    return re.sub(r" \d+x\d+$", "", spec.name)


def _words(spec: DataSpec, classes: bool) -> str:
    """Name and shape of data, and their levels and classes where they have any."""
    levels = spec[spec.data].num_levels
    in_classes = f" in {spec.num_classes} classes" if classes and spec.num_classes else ""
    return f"{spec.name} {spec.shape}" + (f" with {levels} levels" if levels else "") + in_classes


def _primitive(value: Any) -> Any:
    """Tuples as lists."""
    return [_primitive(v) for v in value] if isinstance(value, (tuple, list)) else value
