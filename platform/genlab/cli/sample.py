"""Draw samples from a trained model; needs its checkpoint and nothing else.

The checkpoint may be a file, a run directory (its best checkpoint, else its last; the run may still be
training) or an exported folder. Sample number i depends on the seed and on i alone: the first 64 of
--num 50000 are those of --num 64, whatever the batch size and the device.

    lightning sample --ckpt runs/ddpm_digits/20260131-142559-3fa9
    lightning sample --ckpt last.ckpt --num 100 --label 3 --out threes.png
    lightning sample --ckpt exported/digits --num 50000 --out samples.npz
    lightning sample --ckpt RUN --classifier RUN2 --classifier-scale 2 --label 3
    lightning sample --ckpt RUN --weaker RUN3 --weaker-scale 2

Settings of the model that are not its weights may be others than in training, named as in its config:

    lightning sample --ckpt RUN --model.guidance_scale 2 --model.solver genlab.solvers.DDIM --model.solver.num_steps 50
    lightning sample --ckpt RUN --model.prior.decoding.temperature 0.8

FILE.png is a grid (a scatter plot for 2-D data). FILE.npz holds `image` (N, C, H, W) float32 in [-1, 1] (or
`vector`), `label` for class-conditional models, and `about`, which says how they were made. A name without a
suffix is a folder that gets one PNG per sample. Without --out the grid goes into the run's samples/, or to
./samples.png.

With --shard_size, --out is a folder of shard_000000.npz and so on, which also hold `id`, the numbers of their
samples. The ranks and array tasks of a SLURM job share them out, and what is there is not drawn again:

    lightning sample --ckpt RUN --num 1000000 --out samples/ddpm --shard_size 10000

Images are edited by any diffusion model: parts filled in (RePaint), or images changed more or less (SDEdit). IMAGES is
a picture of the model's size, a FILE.npz as this command writes it, or some of the run's own data: val is the first 8
of that split, test:3,5 two by their numbers.

    lightning sample --ckpt RUN --inpaint digits.npz --mask lower
    lightning sample --ckpt RUN --from digits.npz --strength 0.6 --label 8
    lightning sample --ckpt RUN --invert digits.npz --out again.npz

What a model with latents makes of images (a diffusion model's latents are their noise): originals over their
reconstructions, ways from one to another, one latent moved at a time, draws of the posterior.

    lightning sample --ckpt RUN --reconstruct val
    lightning sample --ckpt RUN --interpolate three.png eight.png --num 8
    lightning sample --ckpt RUN --traverse test:3 --num 9
    lightning sample --ckpt RUN --posterior val
"""

import argparse
from dataclasses import replace
from pathlib import Path

from genlab.cli import autoguidance, classifier
from genlab.cli.edit_options import add_edit_arguments, asked, read_edit

NUM = 64
TAKES_MODEL = True  # --model.SETTING=VALUE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ckpt",
        required=True,
        metavar="PATH_OR_RUN",
        help="a checkpoint, a run directory or an exported folder",
    )
    parser.add_argument(
        "--num", type=int, help="how many samples (default: 64; with images, as many as there are)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random streams (default: %(default)s)")
    parser.add_argument(
        "--label", type=int, help="class of all samples (default: spread evenly over the classes)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png|FILE.npz|DIR", help="where they go")
    parser.add_argument("--shard_size", type=int, help="samples per file of a folder; restartable")
    parser.add_argument(
        "--weights", default="ema", help="ema (the default), raw, or one of the run's decays, as in 0.999"
    )
    parser.add_argument(
        "--batch_size", type=int, default=256, help="samples at a time (default: %(default)s)"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)"
    )
    classifier.add_arguments(parser)
    autoguidance.add_arguments(parser)
    add_edit_arguments(parser)


def run(args: argparse.Namespace) -> int:
    kind = asked(args)
    if args.shard_size is not None:
        return run_shards(args)
    from genlab.cli.bar import bar
    from genlab.experiments.editors import editor_of
    from genlab.experiments.loading import load_checkpoint
    from genlab.experiments.sample_files import open_writer
    from genlab.experiments.sampling import Request, about, check, draw, pick_device

    request = Request(NUM if args.num is None else args.num, args.seed, args.label, args.batch_size)
    loaded = load_checkpoint(
        args.ckpt, weights=args.weights, device=pick_device(args.device), changes=args.settings
    )
    classifier.guide(loaded, args)
    autoguidance.guide(loaded, args)
    edit, columns = read_edit(args, loaded), None
    if edit is None:
        check(loaded, request)
    else:
        editor = editor_of(loaded, edit.kind)
        request = replace(request, num=editor.number_of(loaded, edit, request, args.num))
        columns = editor.row_length(edit, request.num, loaded)
    out = args.out or default_path(loaded, request, kind)
    writer = open_writer(out, loaded.spec, columns)
    with bar("sampling" if edit is None else "editing", request.num) as advance:
        for batch in draw(loaded, request) if edit is None else editor.draw_edited(loaded, request, edit):
            writer.add(batch)
            advance(len(batch[loaded.spec.data]))
    writer.close(about(loaded, request) | ({} if edit is None else editor.about_edit(loaded, edit)))
    family = type(loaded.model).__name__
    print(f"{family}, {loaded.weights} weights of step {loaded.step:,}, seed {request.seed}")
    print(f"{request.num:,} samples written to {out}")
    return 0


def run_shards(args: argparse.Namespace) -> int:
    """Draw what is missing of this process's shards."""
    from genlab.cli.bar import bar
    from genlab.core import UserError
    from genlab.experiments.loading import load_checkpoint
    from genlab.experiments.sampling import Request, check, pick_device
    from genlab.experiments.shards import Shards, dealt
    from genlab.experiments.world import World

    if args.out is None or args.out.suffix:
        raise UserError(f"out: got {args.out}, expected a folder for shards; pass --out samples/NAME")
    request = Request(NUM if args.num is None else args.num, args.seed, args.label, args.batch_size)
    device = pick_device(args.device, World.current().local_rank)
    loaded = load_checkpoint(args.ckpt, weights=args.weights, device=device, changes=args.settings)
    classifier.guide(loaded, args)
    autoguidance.guide(loaded, args)
    check(loaded, request)
    shards = Shards(args.out, request, args.shard_size)
    shards.begin(loaded)
    mine = dealt(shards.missing())
    with bar("sampling", sum(len(shards.numbers(shard)) for shard in mine)) as advance:
        shards.draw(loaded, mine, advance)
    missing = len(shards.missing())
    left = f"{missing:,} are still missing" if missing else "none is missing"
    print(f"{len(mine):,} of {len(shards):,} shards drawn into {args.out}; {left}")
    return 0


def default_path(loaded, request, kind: str | None = None) -> Path:
    """The run's samples/, else the current directory."""
    from genlab.experiments.changes import suffix

    name = "" if kind is None else f"{kind}_"
    if loaded.run_dir is None:
        return Path(f"{name}samples.png")
    label = "" if request.label is None else f"_label{request.label}"
    others = suffix(loaded.changes)
    return loaded.run_dir.samples / f"{name}seed{request.seed}{label}_step{loaded.step:08d}{others}.png"
