"""What makes a config small: flags for the command line, from the config itself; all else stays as it is."""

from pathlib import Path
from typing import Any

import yaml

from tests.data.published_files import write_celeba, write_cifar10, write_classes, write_mnist

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*/*.yaml"))
CONFIGS = [path for path in CONFIGS if path.parent.name != "trainer"]  # overlays, tested with a config each
STEPS = 2
# In the place of lists of widths come lists as long, in that of counts the smallest that is one.
WIDTHS = {"UNet": 8, "MLP": 16, "DCGANGenerator": 8, "DCGANCritic": 8, "SNGANGenerator": 8, "SNGANCritic": 8}
WIDTHS |= {"FlowPrior": 8, "IAFPosterior": 16, "LatentCritic": 8}
WIDTHS |= {
    "ConvEncoder": 4,
    "ConvDecoder": 4,
    "EDM2UNet": 8,
    "DiT": 16,
    "LadderEncoder": 4,
    "LadderDecoder": 4,
}
WIDTHS |= {"MapEncoder": 8, "MapDecoder": 8, "HierarchicalQuantiser": 8, "PatchCritic": 8}
WIDTHS |= {"TokenTransformer": 16, "GatedPixelCNN": 8}
FIRST_STAGES = ("VQVAE", "VQGAN", ".Autoencoder")
COUNTS = {"num_blocks": 1, "head_dim": 8, "num_steps": 3, "num_importance_samples": 4, "num_mixtures": 1}
COUNTS |= {
    "depth": 1,
    "num_heads": 2,
    "num_components": 4,
    "num_couplings": 2,
    "num_layers": 2,
    "num_levels": 1,
}


def tree(config: Path) -> dict[str, Any]:
    """A config as it is written."""
    return yaml.safe_load(config.read_text())


def parts(node: Any, key: str = "model") -> list[tuple[str, str, dict[str, Any]]]:
    """(key, class, arguments) of every part that is given as class_path and init_args, but those in lists."""
    if not isinstance(node, dict) or "class_path" not in node:
        return []
    arguments = node.get("init_args", {})
    below = [part for name, value in arguments.items() for part in parts(value, f"{key}.init_args.{name}")]
    return [(f"{key}.init_args", node["class_path"].rsplit(".", 1)[-1], arguments), *below]


def shrink(model: dict[str, Any]) -> list[str]:
    """Flags that make a model's networks narrow and its solver coarse."""
    flags = []
    for key, name, arguments in parts(model):
        for argument, value in arguments.items():
            if argument in ("channels", "width") and name in WIDTHS:
                small = [WIDTHS[name]] * len(value) if isinstance(value, list) else WIDTHS[name]
            elif argument in COUNTS:
                small = [COUNTS[argument]] * len(value) if isinstance(value, list) else COUNTS[argument]
            else:
                continue
            flags.append(f"--{key}.{argument}={small}")
    return flags


def named_runs(node: Any, key: str) -> dict[str, str]:
    """The experiment of each run that a config takes trained models from, by the flag that names another."""
    if not isinstance(node, dict):
        return {}
    if str(node.get("class_path", "")).endswith(".Frozen"):
        return {f"{key}.init_args.checkpoint": Path(node["init_args"]["checkpoint"]).name}
    return {flag: name for k, value in node.items() for flag, name in named_runs(value, f"{key}.{k}").items()}


def samples(config: Path) -> bool:
    """Whether the family samples."""
    return not tree(config)["model"]["class_path"].endswith(("Classifier", *FIRST_STAGES))


def flags(config: Path, data: Path, runs: Path) -> list[str]:
    """What to add to `lightning fit --config CONFIG` for a run of two steps on few data, in `runs`."""
    wanted = tree(config)
    words = [
        f"--trainer.max_steps={STEPS}",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.limit_val_batches=1",
        f"--trainer.val_check_interval={STEPS * wanted['model']['init_args'].get('num_critic_steps', 1)}",
        "--trainer.check_val_every_n_epoch=null",
        "--trainer.log_every_n_steps=1",
        f"--{data_key(wanted)}.batch_size=8",
        "--metrics.every_n_steps=1",
        "--metrics.num=8",
        "--metrics.metrics=[fid]",
        "--samples.num=4",
        "--samples.num_frames=2",
        "--samples.num_reconstructions=2",
        f"--run.root={runs}",
        "--run.id=a",
        *shrink(wanted["model"]),
    ]
    if "digits" not in config.stem:  # Inception's weights would have to be downloaded
        words.append("--metrics.extractor=genlab.metrics.Pixels")
    objective = wanted["model"]["init_args"].get("objective")
    if isinstance(objective, dict) and "perceptual" in objective.get(
        "init_args", {}
    ):  # VGG's weights, likewise
        words.append("--model.objective.init_args.perceptual_weight=0")
    if wanted["data"]["class_path"].endswith(".Coupled"):
        words.append("--data.num_pairs=16")
    key, inner = data_key(wanted), wanted["data"].get("init_args", {}).get("data", wanted["data"])
    kind = inner["class_path"].rsplit(".", 1)[-1]
    if kind in ("MNIST", "CIFAR10", "CelebA"):
        words += [f"--{key}.root={data}", f"--{key}.download=false", f"--{key}.verify=false"]
    if kind == "ImageFolder":
        words += [f"--{key}.paths={data / 'images'}", f"--{key}.shares=[2, 1, 1]"]
    if kind in ("CelebA", "ImageFolder"):
        words.append(f"--{key}.num_workers=0")
    if kind in ("CelebA", "ImageFolder", "Sprites"):
        words.append(f"--{key}.size=32")  # the least that has all levels of attention
    return words


def data_key(wanted: dict[str, Any]) -> str:
    """Where the data set is, which may be within another one."""
    return "data.init_args.data.init_args" if "data" in wanted["data"].get("init_args", {}) else "data"


def write_data(root: Path) -> Path:
    """MNIST, CIFAR-10 and CelebA in their published formats, and a folder of classes; a few images each."""
    write_mnist(root, num_train=240)
    write_cifar10(root)
    write_celeba(root, partition=[0] * 16 + [1] * 8 + [2] * 8)
    write_classes(root / "images")
    return root
