"""LPIPS: its answer is torchmetrics' on the same weights, its gradient reaches images, its refusal is one line."""

import pytest
import torch
from torchvision.models import vgg16

from genlab.core import DataSpec, ModalitySpec, UserError
from genlab.families import VQVAE
from genlab.objectives import LPIPS, QuantisedReconstruction
from genlab.objectives.perceptual import BACKBONE, _unit


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


def test_positions_where_no_channel_is_above_0_have_a_finite_gradient():
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    (_unit(features) - torch.ones(1, 4, 2, 2)).square().sum().backward()
    assert features.grad.isfinite().all()


def first_stage(shape, weight=1.0):
    objective = QuantisedReconstruction(perceptual=LPIPS(), perceptual_weight=weight)
    return VQVAE(DataSpec("x", {"image": ModalitySpec(shape, 256)}), objective=objective)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 64), (2, 32, 32)])
def test_images_that_the_network_cannot_take_are_refused_when_the_model_is_made(shape):
    with pytest.raises(UserError, match=r"perceptual: got 'images \(.*sides of at least 16 for LPIPS"):
        first_stage(shape)
    first_stage(shape, weight=0.0).check_parts()


def test_weights_that_cannot_be_had_are_missed_before_training(tmp_path, monkeypatch):
    asked = []

    def unreachable(request, timeout):
        asked.append((request.method, request.full_url.rsplit("/", 1)[1]))
        raise OSError("no network")

    monkeypatch.setattr("genlab.objectives.perceptual.urlopen", unreachable)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = first_stage((3, 16, 16))
    with pytest.raises(UserError, match=r"perceptual: got 'no VGG-16 \(no network\)', expected vgg16"):
        model.check_parts()
    assert asked == [("HEAD", BACKBONE)]
    cached = tmp_path / "hub" / "checkpoints" / BACKBONE
    cached.parent.mkdir(parents=True)
    cached.touch()
    model.check_parts()
    assert len(asked) == 1
