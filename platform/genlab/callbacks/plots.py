"""Pictures of points in the plane."""

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor


def scatter(points: Tensor, labels: Tensor | None = None, reference: Tensor | None = None) -> Image.Image:
    """Points (N, 2), coloured by class, over reference points (M, 2) in grey, which also set the axes' limits.

    >>> import torch
    >>> scatter(torch.randn(8, 2)).size
    (512, 512)
    """
    canvas, axes = blank()
    points, frame = points.detach().float().cpu().numpy(), points if reference is None else reference
    frame = frame.detach().float().cpu().numpy()
    if reference is not None:
        axes.scatter(*frame.T, s=4, c="lightgrey", linewidths=0)
    colours = "tab:blue" if labels is None else labels.cpu().numpy()
    axes.scatter(*points.T, s=4, c=colours, cmap=None if labels is None else "tab10", linewidths=0, alpha=0.7)
    low, high = frame.min(0), frame.max(0)
    centre, reach = (low + high) / 2, 0.6 * max(float((high - low).max()), 1e-6)
    axes.set_xlim(centre[0] - reach, centre[0] + reach)
    axes.set_ylim(centre[1] - reach, centre[1] + reach)
    return finished(canvas)


def blank(equal: bool = True) -> tuple[Any, Any]:
    """A canvas of 512 x 512 pixels and its axes, both of whose units are as long where `equal`."""
    # Without pyplot, which keeps figures and may look for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), dpi=128, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    return canvas, figure.add_subplot(aspect="equal" if equal else "auto")


def finished(canvas: Any) -> Image.Image:
    """The canvas as an image."""
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
