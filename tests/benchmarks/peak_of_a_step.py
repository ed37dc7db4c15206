"""The most memory that training steps of one U-Net take; prints megabytes as JSON.

    python -m tests.benchmarks.peak_of_a_step ours "8x8, batch 128"

Exits with 3 where the package is not installed. Linux alone tells, and can forget, the peak of a process.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from genlab.core import Condition
from tests.benchmarks.bench_unet import CASES, network_of, step_of

ROOT = Path(__file__).parents[2]
MEGABYTE = 1e6


def resident(what: str) -> float:
    """Megabytes of this process: "VmRSS", now, or "VmHWM", the most since it was forgotten."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) / MEGABYTE for line in lines if line.startswith(what))


class Tiny(nn.Conv2d):
    """One convolution, for what a process takes only once."""

    def forward(self, x: Tensor, t: Tensor, condition: Condition) -> Tensor:
        return super().forward(x)


def main(side: str, case: str) -> int:
    shape, batch_size, _ = CASES[case]
    step_of(Tiny(shape[0], shape[0], 1), shape, 1)()
    try:
        with torch.device("meta"):
            network_of(side, case)  # for what it imports
    except ImportError:
        return 3
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    step = step_of(network := network_of(side, case), shape, batch_size)
    for _ in range(3):
        step()
    state = 4 * sum(p.numel() * p.element_size() for p in network.parameters()) / MEGABYTE
    print(json.dumps({"peak": resident("VmHWM") - before, "state": state}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
