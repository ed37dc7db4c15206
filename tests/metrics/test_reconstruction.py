"""PSNR and SSIM against torchmetrics, the median filter against SciPy's, PCA against scikit-learn's, LPIPS' needs."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter as median_peer
from sklearn.decomposition import PCA
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from genlab.core import ModalitySpec
from genlab.metrics import reconstruction
from genlab.metrics.baselines import PrincipalComponents
from genlab.metrics.reconstruction import RECONSTRUCTION, median_filter


def images(*shape, scale=0.2):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(shape, generator=generator) * 2 - 1
    return x, x + scale * torch.randn(shape, generator=generator)


def score(name, y, x):
    comparison = RECONSTRUCTION[name]
    return comparison.finish(comparison.per_image(y, x).double().mean().item())


@pytest.mark.parametrize("shape", [(5, 1, 16, 16), (5, 3, 12, 20), (5, 1, 8, 8)])
def test_psnr_and_ssim_are_those_of_torchmetrics(shape):
    x, y = images(*shape)
    psnr = PeakSignalNoiseRatio(data_range=(-1.0, 1.0))
    assert score("psnr", y, x) == pytest.approx(psnr(y, x).item(), abs=1e-4)
    window = {} if min(shape[2:]) > 11 else {"gaussian_kernel": False, "kernel_size": 7}
    ssim = StructuralSimilarityIndexMeasure(data_range=(-1.0, 1.0), **window)
    assert score("ssim", y, x) == pytest.approx(ssim(y, x).item(), abs=1e-5)


@pytest.mark.parametrize("side", [8, 11, 12, 32])
def test_equal_images_are_the_best_and_noise_costs(side):
    x, y = images(4, 1, side, side)
    assert score("psnr", x, x) == pytest.approx(100)
    assert score("ssim", x, x) == pytest.approx(1)
    worse = x + 2 * (y - x)
    for name in ("psnr", "ssim"):
        assert score(name, x, x) > score(name, y, x) > score(name, worse, x)


def test_the_median_filter_is_scipys():
    x, _ = images(3, 2, 8, 9)
    peer = np.stack([[median_peer(plane, 3, mode="mirror") for plane in image] for image in x.numpy()])
    np.testing.assert_array_equal(median_filter(x, 3).numpy(), peer)


def test_principal_components_are_those_of_scikit_learn():
    x = torch.randn(40, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    peer = PCA(4, svd_solver="full").fit(x.flatten(1).numpy())
    expected = peer.inverse_transform(peer.transform(x.flatten(1).numpy()))
    found = PrincipalComponents(x, 4).reconstruct(x)
    np.testing.assert_allclose(found.flatten(1).numpy(), expected, atol=1e-5)


def test_lpips_says_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    missing = RECONSTRUCTION["lpips"].missing
    assert "at least 32 pixels" in missing(ModalitySpec((1, 8, 8)))
    assert "AlexNet in" in missing(ModalitySpec((3, 64, 64)))


@pytest.mark.slow
def test_lpips_of_the_file_at_hand(monkeypatch, tmp_path):
    """With random layers in the place of the trained ones: 0 for equal images, more for more noise."""
    from torchvision.models import alexnet

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    reconstruction.lpips_network.cache_clear()
    torch.manual_seed(0)
    path = reconstruction.lpips_weights()
    path.parent.mkdir()
    torch.save(alexnet(weights=None).state_dict(), path)
    try:
        for channels in (1, 3):
            assert RECONSTRUCTION["lpips"].missing(ModalitySpec((channels, 32, 32))) == ""
            x, y = images(3, channels, 32, 32)
            assert score("lpips", x, x) == pytest.approx(0, abs=1e-6)
            assert 0 < score("lpips", x + (y - x) / 4, x) < score("lpips", y, x)
    finally:
        reconstruction.lpips_network.cache_clear()
