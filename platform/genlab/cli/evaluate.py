"""Score a trained model, with the protocol beside each score, the floor, and trivial baselines.

The checkpoint may be a file, a run directory (its best checkpoint, else its last; the run may still be
training) or an exported folder. Its own data set is the reference; scores are at equal counts on both sides.

    lightning evaluate --ckpt runs/ddpm_digits/20260131-142559-3fa9
    lightning evaluate --ckpt last.ckpt --metrics fid,kid --num 10000 --split test
    lightning evaluate --ckpt RUN --metrics mig,dci
    lightning evaluate --ckpt last.ckpt --reference photos/ --extractor inception
    lightning evaluate --ckpt RUN --solvers ddim,heun,dpmpp_2m --nfe 5,10,20,50
    lightning evaluate --ckpt RUN --guidance-scales 1,1.5,2,3
    lightning evaluate --ckpt RUN --classifier RUN2 --classifier-scale 2
    lightning evaluate --ckpt RUN --weaker RUN3 --weaker-scale 2
    lightning evaluate --ckpt RUN --model.guidance_scale 2 --model.solver.num_steps 50

metrics: fid, kid, is (Inception score), prdc (precision, recall, density, coverage), c2st (two-sample test),
memory (distance to training data), histogram and agreement (of classes), judge (digits), swd and sinkhorn
(sliced Wasserstein distance and Sinkhorn divergence, of vectors), bpd (bits per dimension), rate (bits per image of a
VAE's latents or of tokens, and the squared error of what is decoded from them); of an encoder's codes, on data whose
factors are known, beta_vae, factor_vae, mig, sap, dci, modularity; of reconstructed images, psnr, ssim, lpips, and of
images that a denoiser restores, denoising. auto takes all that the family and
the data allow, and says what it leaves out. results.json goes into the run's directory; scores under other settings of
the model than in training (--model.SETTING, named as in its config), or under guidance by another trained model, go
beside it, with the settings or the guide in the name; W&B is told of the run's own scores alone.

With --solvers, or --guidance-scales, a few of the scores are measured over the solvers and their budgets, or over the
scale (of the classifier, else of the weaker model, else of classifier-free guidance): a table here, solvers.json and
solvers.png (guidance.json, guidance.png) in the run's directory, named as results.json is.
"""

import argparse
from pathlib import Path

from genlab.cli import autoguidance, classifier, sampler_curves

TAKES_MODEL = True  # --model.SETTING=VALUE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--ckpt",
        required=True,
        metavar="PATH_OR_RUN",
        help="a checkpoint, a run directory or an exported folder",
    )
    add("--metrics", default="auto", metavar="auto|NAME,...", help="which scores (default: %(default)s)")
    add("--num", type=int, help="samples per draw (default: as many as the split has, at most 10,000)")
    add("--draws", type=int, help="of the generated side (default: 20 for at most 1,000 samples, else 1)")
    add(
        "--split",
        default="test",
        choices=["train", "val", "test"],
        help="the reference (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="of the random streams (default: %(default)s)")
    add("--weights", default="ema", help="ema (the default), raw, or one of the run's decays, as in 0.999")
    add("--reference", type=Path, metavar="DIR", help="a folder of images that takes the data set's place")
    add(
        "--extractor",
        default="auto",
        metavar="auto|digits|inception|pixels|FILE.pth|CLASS",
        help="features: a name, Inception-v3's weights in a file, or the class path of an nn.Module",
    )
    add("--no_baselines", action="store_true", help="leave out the floor and the trivial baselines")
    add("--out", type=Path, metavar="FILE.json", help="where results go (default: the run's results.json)")
    add("--batch_size", type=int, default=256, help="samples at a time (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: %(default)s)")
    sampler_curves.add_arguments(parser)
    classifier.add_arguments(parser)
    autoguidance.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from genlab.cli.bar import bar
    from genlab.experiments.changes import suffix
    from genlab.experiments.evaluation import evaluate, write_results
    from genlab.experiments.evaluation_plan import Request
    from genlab.experiments.evaluation_sides import silent
    from genlab.experiments.evaluation_table import results_table
    from genlab.experiments.loading import load_checkpoint
    from genlab.experiments.sampling import pick_device
    from genlab.experiments.wandb_results import report_results
    from genlab.experiments.world import gathered_world

    request = Request(
        metrics=None if args.metrics == "auto" else [name.strip() for name in args.metrics.split(",")],
        num=args.num,
        draws=args.draws,
        split=args.split,
        seed=args.seed,
        batch_size=args.batch_size,
        reference=args.reference,
        extractor=extractor_of(args.extractor),
        baselines=not args.no_baselines,
    )
    with gathered_world() as world:
        device = pick_device(args.device, world.local_rank)
        loaded = load_checkpoint(args.ckpt, weights=args.weights, device=device, changes=args.settings)
        classifier.guide(loaded, args)
        autoguidance.guide(loaded, args)
        if sampler_curves.wanted(args):
            return sampler_curves.run(args, request, loaded)
        results = evaluate(loaded, request, bar if world.first else silent, world)
    if not world.first:
        return 0
    home = loaded.run_dir.results if loaded.run_dir else Path("results.json")
    out = args.out or home.with_stem(home.stem + suffix(loaded.changes))
    write_results(results, out)
    console = Console()
    console.print(results_table(results, type(loaded.model).__name__))
    console.print(f"written to {out}", soft_wrap=True)
    own = out == home and loaded.run_dir and not loaded.changes
    if own and (told := report_results(loaded.run_dir, results)):
        console.print(told, soft_wrap=True, highlight=False)
    return 0


def extractor_of(name: str):
    """The extractor of a name; None for the data set's own.

    Raises:
        UserError: there is no such thing.
    """
    import importlib

    from torch import nn

    from genlab.core import invalid
    from genlab.metrics import DigitsFeatures, Extractor, Inception, ModuleFeatures, Pixels

    named = {"auto": lambda: None, "digits": DigitsFeatures, "inception": Inception, "pixels": Pixels}
    if name in named:
        return named[name]()
    if name.endswith((".pth", ".pt")):
        return Inception(weights=name)
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        remedy = "choose one of these"
        raise invalid(
            "extractor", name, f"{', '.join(named)}, a .pth file or a class path", remedy
        ) from error
    if isinstance(found, nn.Module):
        return ModuleFeatures(found)
    if isinstance(found, Extractor):
        return found
    raise invalid("extractor", name, "the class path of an nn.Module", "choose another class")
