"""What a codebook's codes stand for, where they stand in images, and how often each is used."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from genlab.callbacks.grids import image_grid, over, stacked
from genlab.callbacks.plots import blank, finished
from genlab.callbacks.views.colours import token_colours
from genlab.callbacks.views.view import Picture, Scene
from genlab.core import ModalitySpec
from genlab.metrics.codebook import code_counts, code_use

NUM_IMAGES = 8
MAX_LEVELS = 4  # whose maps are drawn
COLUMNS = 16
NUM_CODES = 4 * COLUMNS
NUM_AT_ONCE = 64


def tokenized(scene: Scene, num: int | None = None) -> Tensor:
    """Tokens of the first `num` data, or of all, (N, *shape)."""
    return torch.cat([scene.model.tokenize(part) for part in scene.x[:num].split(NUM_AT_ONCE)])


def counts_of(scene: Scene) -> Tensor:
    """How often each code of each codebook is used in the scene's data, (M, K)."""
    return code_counts(tokenized(scene), scene.model.codebooks).cpu()


def token_maps(scene: Scene) -> Picture | None:
    """Validation images over what their tokens decode to, and the tokens as colours, one map per level below."""
    books = scene.model.codebooks
    if any(len(grid) != 2 for grid in books.grids):
        return None
    tokens = tokenized(scene, NUM_IMAGES)
    x = scene.x[: len(tokens)].float()
    rows = over(x, scene.model.detokenize(tokens).float(), len(x))
    levels = [own.cpu() for own in books.split(tokens)[:MAX_LEVELS]]
    caption = "validation images, their reconstructions, their tokens as colours"
    return Picture(caption, lambda: _draw_maps(rows, levels, scene.spec["image"]))


def map_image(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Token maps (N, h, w) as colour images (N, 3, H, W) in [-1, 1], which hold each colour exactly as a byte."""
    height, width = size
    rows = torch.arange(height) * tokens.shape[1] // height
    columns = torch.arange(width) * tokens.shape[2] // width
    return token_colours(tokens[:, rows][:, :, columns]).movedim(-1, 1).float() / 127.5 - 1


def _draw_maps(rows: Tensor, levels: Sequence[Tensor], spec: ModalitySpec) -> Image.Image:
    columns, size = len(levels[0]), tuple(spec.shape[1:])
    colour = ModalitySpec((3, *size))
    maps = [image_grid(map_image(tokens, size), colour, columns) for tokens in levels]
    return stacked([image_grid(rows, spec, columns), *maps])


def code_patches(scene: Scene) -> Picture | None:
    """What the most used codes decode to: the patch in the middle of a map that is full of one code."""
    books = scene.model.codebooks
    if books.num_levels > 1 or len(books.shape) != 2:
        return None
    counts = counts_of(scene)[0]
    codes = counts.argsort(descending=True, stable=True)[:NUM_CODES]
    maps = codes.to(scene.x.device)[:, None, None].expand(-1, *books.shape)
    x = torch.cat([scene.model.detokenize(part).float() for part in maps.split(NUM_AT_ONCE)])
    patches = middle_patch(x, books.shape)
    used = int((counts > 0).sum())
    caption = f"the {len(codes)} most used of {len(counts)} codes ({used} are used), each a full map's middle"
    spec = scene.spec["image"]
    part = ModalitySpec(tuple(patches.shape[1:]), spec.num_levels)
    return Picture(caption, lambda: image_grid(patches, part, COLUMNS))


def middle_patch(x: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The patch of images (N, C, H, W) that belongs to the middle token of a grid (h, w)."""
    cuts = []
    for size, count in zip(x.shape[-2:], grid, strict=True):
        middle = count // 2
        cuts.append(
            slice(middle * size // count, max((middle + 1) * size // count, middle * size // count + 1))
        )
    return x[..., cuts[0], cuts[1]]


def code_usage(scene: Scene) -> Picture:
    """Share of positions that each code takes, the most used first, beside an even use of all."""
    counts = counts_of(scene)
    num, codes = counts.shape
    use = {name: float(value) for name, value in code_use(counts).items()}
    of = f"{codes} codes" if num == 1 else f"{num} codebooks of {codes} codes"
    words = f"{use['usage']:.0%} of them, perplexity {use['perplexity']:.4g}"
    return Picture(f"use of {of} on validation data: {words}", lambda: _draw_usage(counts))


def _draw_usage(counts: Tensor) -> Image.Image:
    canvas, axes = blank(equal=False)
    shares = counts.sort(descending=True).values.double() / counts.sum(1, keepdim=True)
    for own in shares:  # codebooks over one another
        alpha = 1 if len(shares) == 1 else 0.4
        axes.fill_between(
            range(len(own)), own.numpy(), step="mid", color="tab:blue", linewidth=0, alpha=alpha
        )
    axes.axhline(1 / counts.shape[1], color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="code, most used first", ylabel="share of positions", ylim=(0, None))
    return finished(canvas)
