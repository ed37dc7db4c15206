"""Autoencoders: capabilities, linear ones against PCA, denoisers, and learning beyond stated baselines."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from genlab.core import (
    CanDecode,
    CanDenoise,
    CanEncode,
    CanReconstruct,
    CanSample,
    DataSpec,
    HasLosses,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Digits
from genlab.families import Autoencoder, Cosine
from genlab.metrics.baselines import PrincipalComponents
from genlab.metrics.reconstruction import RECONSTRUCTION, median_filter
from genlab.metrics.reference import gather_data
from genlab.networks import ConvDecoder, ConvEncoder, DenseDecoder, DenseEncoder
from genlab.objectives import Contractive, GaussianNoise, KLSparsity, L1Sparsity, Reconstruction

SPEC = DataSpec("digits", {"image": ModalitySpec((1, 8, 8), 17), "label": ModalitySpec(num_classes=10)})
SMALL = {"channels": [8, 16]}


def make(**parts):
    torch.manual_seed(0)
    networks = {"encoder": partial(ConvEncoder, **SMALL), "decoder": partial(ConvDecoder, **SMALL)}
    return Autoencoder(SPEC, **{**networks, "latent_dim": 4, **parts})


def fit(model, steps, **data):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, enable_model_summary=False, limit_val_batches=1, **quiet
    )
    trainer.fit(model, Digits(**data))
    return model.eval()


def psnr(y, x):
    return RECONSTRUCTION["psnr"].finish(RECONSTRUCTION["psnr"].per_image(y, x).mean().item())


def test_capabilities_and_their_shapes():
    model, x = make().eval(), torch.rand(6, 1, 8, 8) * 2 - 1
    for capability in (CanEncode, CanDecode, CanReconstruct, HasLosses):
        assert isinstance(model, capability)
    assert not isinstance(model, CanSample)
    assert (model.encode(x).shape, model.latent_spec.shape) == ((6, 4), (4,))
    assert model.reconstruct(x).shape == x.shape
    assert torch.equal(model.reconstruct(x), model.decode(model.encode(x)))
    assert model.decode(100 * torch.randn(5, 4)).abs().max() <= 1
    spatial = {**SMALL, "spatial": True}
    model = make(
        encoder=partial(ConvEncoder, **spatial), decoder=partial(ConvDecoder, **spatial), latent_dim=32
    )
    assert model.encode(x).shape == (6, 2, 4, 4) == (6, *model.latent_spec.shape)
    assert model.reconstruct(x).shape == x.shape


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, set()),
        ({"objective": Reconstruction(penalties=[Contractive(num_probes=1)])}, {"jacobian"}),
        ({"objective": Reconstruction(penalties=[L1Sparsity()]), "activation": nn.ReLU()}, {"l1", "zeros"}),
        (
            {"objective": Reconstruction(GaussianNoise(), [KLSparsity()]), "activation": nn.Sigmoid()},
            {"sparsity_kl", "mean_activation"},
        ),
    ],
)
def test_every_kind_trains_and_logs_its_terms(parts, names):
    model = make(**parts)
    before = [p.clone() for p in model.parameters()]
    fit(model, 2, limit=20, batch_size=10)
    assert not any(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert set(model.losses("val", {"image": torch.zeros(3, 1, 8, 8)})) == {"loss", "mse"} | names


def test_a_penalty_on_shares_is_refused_without_an_activation_that_gives_them():
    objective = Reconstruction(penalties=[KLSparsity()])
    for activation in (None, nn.Tanh(), nn.ReLU()):
        with pytest.raises(UserError, match=r"activation: got 'codes from .* for KLSparsity; use activation"):
            make(objective=objective, activation=activation)
    for activation in (nn.Sigmoid(), nn.Softmax(1)):
        make(objective=objective, activation=activation)


def test_a_denoiser_says_so_and_corrupts_by_the_stream():
    model, x = make(objective=Reconstruction(GaussianNoise(0.5))), torch.zeros(6, 1, 8, 8)
    assert isinstance(model, CanDenoise)
    assert model.can_denoise
    assert torch.equal(
        model.corrupt(x, RandomStreams(0, 6))[4:], model.corrupt(x[4:], RandomStreams(0, range(4, 6)))
    )
    assert torch.equal(model.encode(x), model.encode(x)), "codes are of data as they are"
    assert model.corruption_protocol() == {"corruption": "GaussianNoise(scale=0.5)"}
    assert not make().can_denoise
    with pytest.raises(UserError, match="objective: got 'no corruption'"):
        make().corrupt(x, RandomStreams(0, 6))
    with pytest.raises(UserError, match="latent_dim: got 0"):
        make(latent_dim=0)


def test_a_linear_one_learns_the_principal_components():
    """Baldi and Hornik 1989: its least error is PCA's; an untrained one's is larger than the data's variance."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([2.0, 1.5, 1.0, 0.4, 0.2, 0.1])
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    x = (torch.randn(500, 6, generator=generator) * scales) @ rotation + 0.5
    spec = DataSpec("x", {"vector": ModalitySpec((6,))})
    torch.manual_seed(0)
    model = Autoencoder(spec, DenseEncoder, DenseDecoder, latent_dim=3)
    error = lambda y: (y - x).square().sum(1).mean().item()  # noqa: E731
    least, untrained = error(PrincipalComponents(x, 3).reconstruct(x)), error(model.reconstruct(x))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(600):
        optimizer.zero_grad()
        model.losses("train", {"vector": x})["loss"].backward()
        optimizer.step()
    assert untrained > 20 * least
    assert least * 0.9999 <= error(model.reconstruct(x)) < least * 1.02


def test_learns_digits_beyond_principal_components():
    model = make(
        latent_dim=16,
        optimizer=partial(torch.optim.AdamW, lr=4e-3, betas=(0.9, 0.99)),
        schedule=Cosine(150, 0.05),
    )
    fit(model, 150, batch_size=128)
    data = Digits()
    x, train = (gather_data(data.batches(split), "image")[0] for split in ("test", "train"))
    mean = psnr(train.mean(0).expand_as(x), x)
    linear = psnr(PrincipalComponents(train, 8).reconstruct(x), x)
    with torch.no_grad():
        found = psnr(model.reconstruct(x), x)
    assert found > linear + 0.5 > mean + 3, (found, linear, mean)


@pytest.mark.slow
def test_a_denoiser_gains_three_decibels_and_beats_a_median_filter():
    model = make(
        latent_dim=64,
        objective=Reconstruction(GaussianNoise(0.5)),
        optimizer=partial(torch.optim.AdamW, lr=4e-3, betas=(0.9, 0.99)),
        schedule=Cosine(400, 0.05),
    )
    fit(model, 400, batch_size=128)
    x, _ = gather_data(Digits().batches("test"), "image")
    corrupted = model.corrupt(x, RandomStreams(0, len(x)))
    with torch.no_grad():
        restored = psnr(model.denoise(corrupted), x)
    assert restored > psnr(corrupted, x) + 3
    assert restored > psnr(median_filter(corrupted), x) + 1
