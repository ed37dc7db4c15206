"""LPIPS: its answer is torchmetrics' on the same weights, its gradient reaches images, its refusal is one line."""

import pytest
import torch
from torchvision.models import vgg16

from genlab.core import UserError
from genlab.objectives import LPIPS


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    with torch.device("meta"):
        features = vgg16(weights=None).features.state_dict()
    state = {f"features.{k}": torch.randn(x.shape) / x[0].numel() ** 0.5 for k, x in features.items()}
    torch.save(state, path)
    return path


def test_against_torchmetrics(weights):
    from torchmetrics.functional.image.lpips import _LPIPS

    peer = _LPIPS(pretrained=True, net="vgg", pnet_rand=True).eval()
    state = torch.load(weights, weights_only=True)
    for name, x in peer.net.named_parameters():
        x.data = state[f"features.{name.split('.', 1)[1]}"]
    ours, (x, y) = LPIPS(str(weights)), torch.rand(2, 3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(ours(x, y), peer(x, y).flatten(), rtol=1e-4, atol=1e-7)
        assert ours(x, x).abs().max() == 0
    grey = torch.rand(2, 1, 32, 32, requires_grad=True)
    ours(grey, torch.zeros(2, 1, 32, 32)).sum().backward()
    assert grey.grad.abs().sum() > 0


def test_refuses_a_file_that_is_not_there():
    with pytest.raises(UserError, match="weights: got '/none', expected the file vgg16"):
        LPIPS("/none")
