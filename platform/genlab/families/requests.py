"""What conditions samples can be asked for by, and how often they are lost in training."""

from collections.abc import Sequence

from torch import Tensor

from genlab.core import Condition, DataSpec, ModalitySpec, require

# What a condition's entries are called where there are too many or too few of them.
WORDS = {"label": "classes", "vector": "vectors", "tokens": "token sequences", "image": "images"}

Dropout = float | dict[str, float]  # of all kinds together, or of each


def check_dropout(dropout: Dropout, kinds: Sequence[str]) -> None:
    """Refuse shares outside [0, 1], and those of kinds that a model does not take.

    Raises:
        UserError: naming `label_dropout`.
    """
    shares = dropout if isinstance(dropout, dict) else dict.fromkeys(kinds or ["any"], dropout)
    for kind, share in shares.items():
        require(0 <= share <= 1, "label_dropout", share, "a share in [0, 1]", "0.1 is usual")
        expected = f"some of {', '.join(kinds)}" if kinds else "none for a network without conditions"
        ok = kind in kinds or not isinstance(dropout, dict)
        require(ok, "label_dropout", kind, expected, "leave it out")


def dropout_of(kind: str, dropout: Dropout) -> float:
    """The share of training samples that lose a kind of condition."""
    return dropout.get(kind, 0.0) if isinstance(dropout, dict) else dropout


def droppable(kinds: Sequence[str], dropout: Dropout) -> tuple[str, ...]:
    """The kinds of condition that training at times loses; another has no null to guide away from.

    >>> droppable(["label", "image"], {"label": 0.1})
    ('label',)
    """
    return tuple(kind for kind in kinds if dropout_of(kind, dropout) > 0)


def check_guided(scale: float, kinds: Sequence[str], dropout: Dropout) -> None:
    """Refuse guidance where training never loses a condition, so that there is no null to guide away from.

    Raises:
        UserError: naming `guidance_scale`.
    """
    ok = scale == 1 or bool(droppable(kinds, dropout))
    expected = "1 for a model whose conditions training never loses"
    require(ok, "guidance_scale", scale, expected, "train with label_dropout=0.1")


def check_condition(condition: Condition, num: int, spec: DataSpec, kinds: Sequence[str]) -> None:
    """Refuse conditions that are not for `num` samples of a model of data `spec` that takes these kinds.

    Raises:
        UserError: of another kind, number or shape; a class or a token that there is not.

    >>> spec = DataSpec("x", {"image": ModalitySpec((1, 8, 8)), "label": ModalitySpec(num_classes=10)})
    >>> import torch
    >>> check_condition(Condition(label=torch.tensor([10])), 1, spec, ["label"])
    Traceback (most recent call last):
        ...
    genlab.core.errors.UserError: condition: got (10, 10), expected classes 0 to 9; choose among these
    """
    for kind in condition.kinds:
        x = getattr(condition, kind)
        require(kind in kinds, "condition", kind, f"one of {', '.join(kinds)}", "leave it out")
        require(len(x) == num, "condition", f"{len(x)} {WORDS[kind]}", f"{num}", "one per sample")
        _check_values(kind, x, spec.conditions[kind])
    masks = {f"keep of {kind}": mask for kind, mask in condition.keep.items()}
    if condition.token_mask is not None and condition.tokens is not None:
        masks["token_mask"] = condition.token_mask
    for name, mask in masks.items():
        shape = tuple(condition.tokens.shape[:2]) if name == "token_mask" else (num,)
        require(mask.shape == shape, name, tuple(mask.shape), f"a mask {shape}", "one entry for each")


def _check_values(kind: str, x: Tensor, spec: ModalitySpec) -> None:
    """Numbers of classes or tokens in their range; other conditions in their modality's shape."""
    of_vocabulary = kind == "tokens" and spec.num_classes > 0
    if kind == "label" or of_vocabulary:
        shape, dims = ("(B, L)", 2) if of_vocabulary else ("(B,)", 1)
        ok = x.ndim == dims and not x.is_floating_point()
        require(
            ok, "condition", f"{kind} of shape {tuple(x.shape)}, {x.dtype}", f"{shape} integers", "cast it"
        )
        ends, last = x.aminmax(), spec.num_classes - 1
        got, what = (int(ends.min), int(ends.max)), "tokens" if of_vocabulary else "classes"
        require(got[0] >= 0 and got[1] <= last, "condition", got, f"{what} 0 to {last}", "choose among these")
        return
    # Sequences may be of any length, and images of any resolution: networks resize them.
    fixed = {"vector": slice(0, None), "tokens": slice(1, None), "image": slice(0, 1)}[kind]
    shape = tuple(x.shape[1:])
    ok = len(shape) == len(spec.shape) and shape[fixed] == spec.shape[fixed]
    require(ok, "condition", f"{kind} of shape {shape}", f"{spec.shape}", "give it as the data do")
