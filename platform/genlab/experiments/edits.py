"""What to do with which images, and whether a model can do it."""

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from genlab.core import require
from genlab.experiments.edit_space import EditSpace, check_editable
from genlab.experiments.loading import Loaded
from genlab.experiments.sampling import Request, check, num_classes
from genlab.solvers import Ancestral, DormandPrince, GivenGrid, Solver
from genlab.solvers.inpainting import fine_grid

Kind = Literal["inpaint", "from", "invert", "interpolate", "reconstruct", "traverse", "posterior"]


@dataclass(frozen=True)
class Edit:
    """What to do with which images.

    Args:
        kind: "inpaint" fills in, "from" makes others like them (SDEdit), "invert" finds their noise and returns
            from it, as "reconstruct" does, "interpolate" goes to `others`. Models with latents reconstruct by these,
            interpolate by them where they have no denoiser, "traverse" them, and draw from the "posterior".
        images: (N, *spec.shape).
        labels: of the images, (N,), for a conditional model, or None.
        missing: what "inpaint" fills in, (1, H, W) bool.
        others: where "interpolate" goes, (N, *spec.shape).
        strength: of "from", in [0, 1].
        resamples: of "inpaint".
        steps: of its solver, or None: 100 for "inpaint", the model's own for "from".

    Raises:
        UserError: a number outside its range.
    """

    kind: Kind
    images: Tensor
    labels: Tensor | None = None
    missing: Tensor | None = None
    others: Tensor | None = None
    strength: float = 0.6
    resamples: int = 10
    steps: int | None = None

    def __post_init__(self) -> None:
        inside = 0 <= self.strength <= 1
        require(inside, "strength", self.strength, "a number in [0, 1]", "0.6 keeps an image's outline")
        require(self.resamples > 0, "resamples", self.resamples, "at least 1", "the paper's is 10")
        require(self.steps is None or self.steps > 0, "steps", self.steps, "at least 1", "leave it out")
        same = self.others is None or len(self.others) == len(self.images)
        got = None if self.others is None else (len(self.images), len(self.others))
        require(same, "interpolate", got, "as many images in both files", "choose them in pairs")


def check_edit(loaded: Loaded, edit: Edit, request: Request) -> None:
    """Refuse what can't be edited before any work is done.

    Raises:
        UserError: a model without a denoiser, one that must be told classes and was not, a mask that leaves no latents.
    """
    check_model(loaded.model, edit)
    classes, labels = num_classes(loaded), edit.labels
    if not classes:
        return
    known = labels is None or (int(labels.min()) >= 0 and int(labels.max()) < classes)
    require(
        known, "label", None if labels is None else labels.unique().tolist(), f"0 to {classes - 1}", "relabel"
    )
    told = request.label is not None or labels is not None or not needs_label(loaded.model)
    expected = "a class: this model was trained with labels alone"
    require(told, "label", None, expected, "pass --label, or a file with `label`")


def check_model(model: nn.Module, edit: Edit) -> None:
    """Refuse a model that can't do this, or whose base can't.

    Raises:
        UserError: it has no denoiser, or no score, where one is needed; a mask that leaves no latents; another solver.
    """
    space = check_editable(model)
    expected = "a model with a score, which noise that is coupled with the data does not leave"
    remedy = "use --from, or train with IndependentCoupling"
    name, scores = type(model).__name__, space.part.has_score
    require(edit.kind != "inpaint" or scores, "inpaint", name, expected, remedy)
    if edit.missing is not None:
        space.missing(edit.missing)
    space.part.check_solver(solver_of(space, edit))
    if space.base is not None:
        check_model(space.base, lowered(space, edit))


def needs_label(model: nn.Module) -> bool:
    """Whether it, or its base, was trained with labels and never without."""
    space = check_editable(model)
    dropout = space.part.label_dropout
    drops = dropout.get("label", 0) if isinstance(dropout, dict) else dropout
    needs = "label" in space.part.learned_conditions and not drops > 0
    return needs or (space.base is not None and needs_label(space.base))


def lowered(space: EditSpace, edit: Edit) -> Edit:
    """What the base of a cascade has to do, with low-resolution images."""
    images, missing = space.lowered(edit.images, edit.missing)
    others = None if edit.others is None else space.lowered(edit.others)[0]
    return replace(edit, images=images, others=others, missing=missing)


def number_of(loaded: Loaded, edit: Edit, request: Request, asked: int | None) -> int:
    """How many results there will be: as many as asked for, or as images; of an interpolation, for each pair.

    Raises:
        UserError: from `check_edit`; an interpolation of less than 2; a class that there is not.
    """
    check(loaded, request)
    check_edit(loaded, edit, request)
    if edit.kind != "interpolate":
        return len(edit.images) if asked is None else asked
    per_pair = 8 if asked is None else asked
    require(per_pair >= 2, "num", per_pair, "at least 2, both ends", "pass --num 8")
    return per_pair * len(edit.images)


def row_length(edit: Edit, num: int, loaded: Loaded) -> int | None:
    """Results in a row of a grid, where their kind says so."""
    return num // len(edit.images) if edit.kind == "interpolate" else None


def solver_of(space: EditSpace, edit: Edit) -> Solver:
    """RePaint's is DDPM's on the model's grid, SDEdit's the model's, the others' Dormand-Prince."""
    part = space.part
    if edit.kind == "inpaint":
        steps = edit.steps or 100
        own = None if isinstance(part.solver.grid, GivenGrid) else part.solver.grid
        return Ancestral(steps, fine_grid(part.path, steps, own))
    if edit.kind != "from":
        return DormandPrince()
    return part.solver.with_steps(edit.steps) if edit.steps else part.solver
