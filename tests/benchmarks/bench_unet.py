"""A training step of our U-Net against other packages' U-Nets, in one loop, all in one memory format.

diffusers' network has our levels, blocks, attention and widths, and so the same parameters and the same
floating-point operations by torch's counter, before our `Upsample` folds its kernel: what that
saves is said in the row. denoising-diffusion-pytorch's network has other layers,
and the width whose operations come nearest. The limit is our network's arithmetic at this machine's rate of products;
beside it stands what a step's time goes into.

What was done about it: upsampling is folded into its convolution; scale, shift and SiLU after a norm take one pass in
place of three; attention keeps channels innermost, as its kernel reads them. The rest of the convolutions run at the
rate of matrix products or above it, in either package. Convolutions of size 1 as batched products, though up to three
times as fast by themselves, made no difference to a step. Nor did the memory format channels_last, to either
package: the gradients of narrow convolutions are faster there, and norms are slower by as much.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from genlab.callbacks.hardware import matmul_rate
from genlab.core import Condition, DataSpec, ModalitySpec
from genlab.networks import UNet, Upsample
from tests.benchmarks.measure import Row, median_seconds
from tests.benchmarks.step_profile import in_words, shares

Shape = tuple[int, int, int]
Network = Callable[[Tensor, Tensor, Condition], Tensor]
NUM_CLASSES = 10
SMALL = {"channels": 32, "num_blocks": 1, "head_dim": 32}
CASES = {
    "8x8, batch 128": ((1, 8, 8), 128, {**SMALL, "multipliers": (1, 2), "attention": (4,)}),
    "32x32, batch 16": ((3, 32, 32), 16, {**SMALL, "multipliers": (1, 2, 2), "attention": (16,)}),
    "64x64, batch 4": ((3, 64, 64), 4, {**SMALL, "multipliers": (1, 2, 2, 2), "attention": (16,)}),
}
AIMS = {"diffusers": 0.8, "denoising-diffusion-pytorch": 0.7}


class Diffusers(nn.Module):
    """diffusers' U-Net with the layers of ours."""

    def __init__(self, shape: Shape, settings: dict):
        from diffusers import UNet2DModel

        super().__init__()
        widths = tuple(settings["channels"] * m for m in settings["multipliers"])
        attends = [shape[1] >> level in settings["attention"] for level in range(len(widths))]
        self.network = UNet2DModel(
            sample_size=shape[1:],
            in_channels=shape[0],
            out_channels=shape[0],
            block_out_channels=widths,
            layers_per_block=settings["num_blocks"],
            down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attends),
            up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
            attention_head_dim=settings["head_dim"],
            norm_num_groups=8,
            resnet_time_scale_shift="scale_shift",
            num_class_embeds=NUM_CLASSES + 1,
        )

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.network(x, 1000 * t, class_labels=condition.label).sample


class DenoisingDiffusion(nn.Module):
    """denoising-diffusion-pytorch's U-Net, which has no classes, of a width."""

    def __init__(self, shape: Shape, settings: dict, width: int):
        from denoising_diffusion_pytorch import Unet

        super().__init__()
        self.network = Unet(width, dim_mults=settings["multipliers"], channels=shape[0], flash_attn=True)

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return self.network(x, 1000 * t)


def step_of(network: nn.Module, shape: Shape, batch_size: int) -> Callable[[], None]:
    """A step of flow matching on a fixed batch: loss, gradient, AdamW."""
    x, target = torch.randn(2, batch_size, *shape)
    t, condition = torch.rand(batch_size), Condition(label=torch.arange(batch_size) % NUM_CLASSES)
    adamw = torch.optim.AdamW(network.train().parameters(), lr=1e-4)

    def step() -> None:
        adamw.zero_grad()
        functional.mse_loss(network(x, t, condition), target).backward()
        adamw.step()

    return step


def flops(step: Callable[[], None]) -> int:
    """Floating-point operations of a step's convolutions and products by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


@contextmanager
def unfolded() -> Iterator[None]:
    """Upsampling as it is written down: values are repeated, then convolved."""
    folded = Upsample.forward
    Upsample.forward = lambda self, x: self.conv(functional.interpolate(x, scale_factor=2.0))
    try:
        yield
    finally:
        Upsample.forward = folded


def nearest_width(shape: Shape, batch_size: int, settings: dict, wanted: int) -> int:
    """The width at which denoising-diffusion-pytorch's network takes the most like `wanted` operations."""

    def distance(width: int) -> int:
        return abs(flops(step_of(DenoisingDiffusion(shape, settings, width), shape, batch_size)) - wanted)

    with torch.device("meta"):  # no memory, and nothing is computed
        return min(range(16, 41, 4), key=distance)


def run(rounds: int = 15) -> list[Row]:
    """Two rows for each resolution; a peer that is missing is named."""
    return [row for name in CASES for row in compare(name, rounds)]


def network_of(side: str, case: str) -> nn.Module:
    """The network of "ours" or of a peer in one of `CASES`.

    Raises:
        ImportError: the peer is not installed.
    """
    shape, batch_size, settings = CASES[case]
    if side == "diffusers":
        return Diffusers(shape, settings)
    spec = DataSpec("x", {"image": ModalitySpec(shape), "label": ModalitySpec(num_classes=NUM_CLASSES)})
    if side == "ours":
        return UNet(spec, **settings)
    with unfolded(), torch.device("meta"):
        whole = flops(step_of(UNet(spec, **settings), shape, batch_size))
    return DenoisingDiffusion(shape, settings, nearest_width(shape, batch_size, settings, whole))


def compare(name: str, rounds: int) -> list[Row]:
    """One resolution."""
    shape, batch_size, _ = CASES[name]
    steps = {}
    for side in ("ours", *AIMS):
        try:
            steps[side] = step_of(network_of(side, name), shape, batch_size)
        except ImportError:
            continue
    with unfolded():
        whole = flops(steps["ours"])
    operations = {side: flops(step) for side, step in steps.items()}
    seconds = median_seconds(steps, rounds, warmup=3)
    limit = 1e3 * operations["ours"] / matmul_rate(torch.device("cpu"))
    goes = in_words(shares(steps["ours"]))

    def row(peer: str) -> Row:
        there = peer in seconds
        theirs, ours = (operations.get(side, 0) / 1e9 for side in (peer, "ours"))
        about = f" ({theirs:.1f} GFLOP; ours {whole / 1e9:.1f}, folded {ours:.1f})" if there else ""
        return Row(
            name=f"training step of a U-Net, {name}",
            unit="ms",
            ours=1e3 * seconds["ours"],
            peer=peer + about,
            theirs=1e3 * seconds[peer] if there else None,
            limit=limit,
            limit_by=f"its arithmetic at the rate of matrix products; of a step: {goes}",
            aim=AIMS[peer],
        )

    return [row(peer) for peer in AIMS]
