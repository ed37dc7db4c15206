"""A perceptual distance that can be trained on: LPIPS, on VGG-16's features."""

from pathlib import Path
from urllib.request import Request, urlopen

import torch
from torch import Tensor, nn
from torch.nn import functional

from genlab.core import ModalitySpec, UserError, full_precision, invalid, require
from genlab.objectives.quantisation import Perceptual

BACKBONE = "vgg16-397923af.pth"  # as torchvision names it in torch's hub cache
STAGES = (4, 9, 16, 23, 30)  # where VGG-16's five groups of convolutions end
LEAST_SIDE = 2 ** (len(STAGES) - 1)  # a maximum over 2x2 stands between each two of them
EPS = 1e-8  # of squared lengths: a position where no channel is above 0 has a gradient, too
PATIENCE = 10.0  # seconds, for a server's word that it has the weights
# Of bytes / 255, for images in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class LPIPS(Perceptual):
    """d(x, y) = sum_l mean over positions of w_l . (f_l(x) - f_l(y))^2, f_l VGG-16's features of unit length.

    Grey images are shown in three equal channels. The network is built when it is first used; it belongs to no
    checkpoint.

    Args:
        weights: file of torchvision's VGG-16; without it, the one in torch's hub cache, which is downloaded where it
            is missing (528 MB).

    Raises:
        UserError: the file is not there, or can't be had; images of two channels, or with a side below 16.

    Source: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric", eq. 1; weights
    w_l of its version 0.1, which torchmetrics carries.
    """

    def __init__(self, weights: str | None = None):
        there = weights is None or Path(weights).is_file()
        require(there, "weights", weights, f"the file {BACKBONE}", "download it from torchvision's releases")
        self.weights, self._stages, self._heads = weights, None, None

    def check(self, modality: ModalitySpec) -> None:
        shape, expected = modality.shape, f"(1 or 3, H, W) with sides of at least {LEAST_SIDE}"
        ok = len(shape) == 3 and shape[0] in (1, 3) and min(shape[1:]) >= LEAST_SIDE
        require(ok, "perceptual", f"images {shape}", f"{expected} for LPIPS", "leave it out")

    def check_weights(self) -> None:
        if self.weights is None and not cached_weights().is_file():
            from torchvision.models import VGG16_Weights

            try:
                urlopen(Request(VGG16_Weights.IMAGENET1K_V1.url, method="HEAD"), timeout=PATIENCE).close()
            except OSError as error:
                raise _not_there(error) from error

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self._distance(full_precision(x), full_precision(y))

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        if self._stages is None:
            self._stages, self._heads = stages(_backbone(self.weights)), heads()
        shift, scale = (torch.tensor(v, device=x.device).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
        x, y = ((v.expand(-1, 3, -1, -1) - shift) / scale for v in (x, y))
        total = x.new_zeros(len(x))
        for stage, head in zip(self._stages.to(x.device), self._heads, strict=True):
            x, y = stage(x), stage(y)
            gap = (_unit(x) - _unit(y)).square()
            total = total + functional.conv2d(gap, head.to(x.device)).mean((1, 2, 3))
        return total


def stages(state: dict[str, Tensor]) -> nn.ModuleList:
    """VGG-16's five groups of convolutions, frozen, from the state dict of torchvision's whole network."""
    from torchvision.models import vgg16

    with torch.device("meta"):  # most of its weights are the classifier's, which are not needed
        features = vgg16(weights=None).features
    wanted = {name.removeprefix("features."): x for name, x in state.items() if name.startswith("features.")}
    features.load_state_dict(wanted, assign=True)
    for layer in features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    starts = (0, *STAGES[:-1])
    parts = nn.ModuleList(features[a:b] for a, b in zip(starts, STAGES, strict=True))
    return parts.eval().requires_grad_(False)


def heads() -> list[Tensor]:
    """w_l as 1x1 convolutions, from torchmetrics' files."""
    import torchmetrics.functional.image as images

    path = Path(images.__file__).parent / "lpips_models" / "vgg.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return [state[f"lin{level}.model.1.weight"] for level in range(len(STAGES))]


def cached_weights() -> Path:
    """Where torch's hub keeps the network."""
    return Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE


def _backbone(weights: str | None) -> dict[str, Tensor]:
    if weights is not None:
        return torch.load(weights, map_location="cpu", weights_only=True)
    from torchvision.models import VGG16_Weights

    try:
        return VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise _not_there(error) from error


def _not_there(error: Exception) -> UserError:
    expected, remedy = f"{BACKBONE} in torch's hub cache, or a network", "name its file by `weights`"
    return invalid("perceptual", f"no VGG-16 ({error})", expected, remedy)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True) + EPS).sqrt()
