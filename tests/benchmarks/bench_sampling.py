"""Images per second of `Diffusion.sample` beside a loop over diffusers' U-Net and scheduler, at equal evaluations.

Both networks have the same layers and both walk 10 steps of DDIM from noise. The time is that of one image, so that
a smaller ratio is better; images per second are in the row's name. The limit is the network's arithmetic.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genlab.callbacks.hardware import matmul_rate
from genlab.core import Condition, DataSpec, ModalitySpec, RandomStreams
from genlab.families import Diffusion
from genlab.networks import UNet
from genlab.probability import LinearBetaPath, NoisePrediction
from genlab.solvers import DDIM
from tests.benchmarks.bench_unet import CASES, NUM_CLASSES, Diffusers, Shape
from tests.benchmarks.measure import Row, median_seconds

NUM_STEPS = 10


def ours(shape: Shape, batch_size: int, settings: dict) -> Callable[[], Tensor]:
    """A batch by our family, its classes given."""
    spec = DataSpec("x", {"image": ModalitySpec(shape), "label": ModalitySpec(num_classes=NUM_CLASSES)})
    model = Diffusion(
        spec,
        partial(UNet, **settings),
        LinearBetaPath(),
        NoisePrediction(),
        solver=DDIM(NUM_STEPS),
        clamp=1.0,
    ).eval()
    condition = Condition(label=torch.arange(batch_size) % NUM_CLASSES)
    return lambda: model.sample(batch_size, condition=condition, rng=RandomStreams(0, batch_size))


def theirs(shape: Shape, batch_size: int, settings: dict) -> Callable[[], Tensor]:
    """A batch by diffusers: its pipeline's loop, with classes.

    Raises:
        ImportError: diffusers is not installed.
    """
    from diffusers import DDIMScheduler

    network: nn.Module = Diffusers(shape, settings).eval().network
    scheduler, labels = DDIMScheduler(), torch.arange(batch_size) % NUM_CLASSES

    @torch.no_grad()
    def sample() -> Tensor:
        scheduler.set_timesteps(NUM_STEPS)
        x = torch.randn(batch_size, *shape, generator=torch.Generator().manual_seed(0))
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t, class_labels=labels).sample, t, x).prev_sample
        return x

    return sample


def run(rounds: int = 9) -> list[Row]:
    """A row for each resolution."""
    return [compare(name, rounds) for name in CASES]


def compare(name: str, rounds: int) -> Row:
    """One resolution."""
    shape, batch_size, settings = CASES[name]
    sides = {"ours": ours(shape, batch_size, settings)}
    with FlopCounterMode(display=False) as counter:
        sides["ours"]()
    with suppress(ImportError):
        sides["theirs"] = theirs(shape, batch_size, settings)
    seconds = {side: time / batch_size for side, time in median_seconds(sides, rounds).items()}
    peer = seconds.get("theirs")
    return Row(
        name=f"sampling, U-Net {name}, DDIM of {NUM_STEPS} evaluations ({1 / seconds['ours']:.0f} images/s)",
        unit="ms per image",
        ours=1e3 * seconds["ours"],
        peer="diffusers" + (f" ({1 / peer:.0f} images/s)" if peer else ""),
        theirs=peer and 1e3 * peer,
        limit=1e3 * counter.get_total_flops() / batch_size / matmul_rate(torch.device("cpu")),
        limit_by="its arithmetic at the rate of matrix products",
    )
