"""The options of `lightning sample` that start from images, and what they ask for."""

import argparse
from pathlib import Path


def add_edit_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "editing, by a diffusion model of the data or of their latents, without training"
    )
    group.add_argument(
        "--inpaint", type=Path, metavar="IMAGES", help="fill in --mask of a picture or of FILE.npz's images"
    )
    group.add_argument(
        "--mask",
        metavar="REGION|FILE.png",
        help="what is to be filled in: lower, upper, left, right, centre, or where a picture is white",
    )
    group.add_argument(
        "--resamples", type=int, help="rounds of --inpaint until its parts agree (default: 10)"
    )
    group.add_argument(
        "--from", dest="source", type=Path, metavar="IMAGES", help="make images like these, by --strength"
    )
    group.add_argument(
        "--strength", type=float, help="how far from --from, 0 (not at all) to 1 (default: 0.6)"
    )
    group.add_argument("--invert", type=Path, metavar="IMAGES", help="to their noise and back again")
    group.add_argument("--steps", type=int, help="of the solver of --inpaint (default: 100) or --from")
    group = parser.add_argument_group("latents of images, of any model that has such")
    group.add_argument(
        "--reconstruct", type=Path, metavar="IMAGES", help="encode and decode, or invert by a diffusion model"
    )
    group.add_argument(
        "--interpolate",
        type=Path,
        nargs=2,
        metavar="IMAGES",
        help="from the first's images to the second's, --num in a row (default: 8)",
    )
    group.add_argument(
        "--traverse",
        type=Path,
        metavar="IMAGES",
        help="move each of the 10 latents that carry most through the prior, --num in a row (default: 9)",
    )
    group.add_argument(
        "--posterior",
        type=Path,
        metavar="IMAGES",
        help="draws of each one's latents, --num in a row (default: 8)",
    )


def read_edit(args: argparse.Namespace, loaded):
    """The edit that the options ask for, or None for new samples.

    Raises:
        UserError: two edits at once, an option of another one, a model that edits nothing, or files that don't fit it.
    """
    import torch

    from genlab.core import require
    from genlab.experiments.edit_inputs import images_of, read_mask
    from genlab.experiments.editors import editor_of
    from genlab.experiments.edits import Edit

    kind = asked(args)
    if kind is None:
        return None
    editor_of(loaded, kind)
    first, *second = args.interpolate if kind == "interpolate" else [edits_of(args)[kind]]
    x, labels = images_of(kind, first, loaded)
    more = {}
    if second:
        more["others"], theirs = images_of(kind, second[0], loaded)
        alike = labels is not None and theirs is not None and torch.equal(labels, theirs)
        labels = labels if alike else None  # a way between classes is in neither
    if kind == "inpaint":
        remedy = "pass --mask lower, or a picture that is white there"
        require(args.mask is not None, "mask", None, "what --inpaint fills in", remedy)
        more["missing"] = read_mask("mask", args.mask, loaded.spec)
    given = {"strength": args.strength, "resamples": args.resamples, "steps": args.steps}
    return Edit(
        kind, x, labels, **more, **{name: value for name, value in given.items() if value is not None}
    )


def asked(args: argparse.Namespace) -> str | None:
    """Which edit the options ask for, if any; refuses options that belong to another."""
    from genlab.core import require

    kinds = [kind for kind, value in edits_of(args).items() if value is not None]
    require(len(kinds) <= 1, "edit", " and ".join(f"--{kind}" for kind in kinds), "one of them", "choose one")
    kind = kinds[0] if kinds else None
    owners = {
        "mask": ("inpaint",),
        "resamples": ("inpaint",),
        "strength": ("from",),
        "steps": ("inpaint", "from"),
    }
    for option, kinds in owners.items():
        got = getattr(args, option)
        expected = f"it with {' or '.join(f'--{owner}' for owner in kinds)}"
        require(got is None or kind in kinds, option, got, expected, "add that, or leave this out")
    require(
        kind is None or args.shard_size is None,
        "shard_size",
        args.shard_size,
        "none in editing",
        "leave it out",
    )
    return kind


def edits_of(args: argparse.Namespace) -> dict[str, Path | list[Path] | None]:
    """What each option that starts from images was given."""
    own = {kind: getattr(args, kind) for kind in ("inpaint", "invert", "reconstruct", "interpolate")}
    return own | {"from": args.source, "traverse": args.traverse, "posterior": args.posterior}
