"""The memory that training steps of U-Nets take at their peak, beside other packages' networks of equal arithmetic.

Each side is a process of its own: what becomes resident over what it was before the network was made. The limit is
what AdamW's step can't do without: weights, gradients and two moments. The rest is activations.
"""

import json
import subprocess
import sys

from tests.benchmarks.bench_unet import AIMS, CASES
from tests.benchmarks.measure import Row
from tests.benchmarks.peak_of_a_step import ROOT


def peak(side: str, case: str) -> dict[str, float] | None:
    """Megabytes of `peak_of_a_step`; None where the package is missing."""
    command = [sys.executable, "-m", "tests.benchmarks.peak_of_a_step", side, case]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        return None
    done.check_returncode()
    return json.loads(done.stdout)


def run() -> list[Row]:
    """Two rows for each resolution."""
    rows = []
    for case in CASES:
        ours = peak("ours", case)
        for side in AIMS:
            found = peak(side, case)
            rows.append(
                Row(
                    name=f"peak memory of a training step of a U-Net, {case}",
                    unit="MB",
                    ours=ours["peak"],
                    peer=side,
                    theirs=found and found["peak"],
                    limit=ours["state"],
                    limit_by="weights, gradients and two moments",
                )
            )
    return rows
