"""VAE-GAN: each player is moved by its own loss alone; what is averaged, logged and can be asked for; learning."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch.nn.functional import logsigmoid

from genlab.callbacks import Ema, Reproducible
from genlab.core import CanDecode, CanEncode, CanReconstruct, CanSample, HasLogProb, RandomStreams, UserError
from genlab.data import Digits
from genlab.families import VAEGAN
from genlab.families.parts import scaled_gradient
from genlab.networks import ConvDecoder, ConvEncoder, DCGANCritic, LatentCritic, VampPrior
from genlab.objectives import R1, AdversarialObjective, Minimax

SPEC = Digits().spec


def make(**parts):
    torch.manual_seed(0)
    small = {
        "encoder": partial(ConvEncoder, channels=[8, 16]),
        "decoder": partial(ConvDecoder, channels=[8, 16]),
        "critic": partial(DCGANCritic, channels=(8, 16)),
        "latent_dim": 4,
    }
    return VAEGAN(SPEC, **{**small, **parts})


def fit(model, steps, *callbacks, validate=True, **data):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, enable_model_summary=False, callbacks=[Reproducible(), *callbacks],
        limit_val_batches=int(validate), val_check_interval=1, num_sanity_val_steps=0, **quiet,
    )  # fmt: skip
    trainer.fit(model, Digits(**{"batch_size": 16, "limit": 32, **data}))
    return trainer


def images(num):
    (batch,) = Digits(limit=num).batches("train", batch_size=num)
    return batch["image"]


def gradients(loss, module):
    found = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(module.parameters(), found, strict=True)]


@pytest.mark.parametrize("gamma", [0.03, 2.0])
def test_each_player_gets_the_gradient_of_its_own_loss_alone(gamma):
    """Algorithm 1 of the paper, by one backward pass for each player over a graph without any stops."""
    model = make(gamma=gamma, scale=0.5, objective=AdversarialObjective(Minimax())).double()
    x = images(6).double()
    torch.manual_seed(1)
    loss, _ = model.model_loss(x, None, 0)
    got = {name: gradients(loss, model.get_submodule(name)) for name in ("encoder", "decoder", "critic")}

    torch.manual_seed(1)
    q = model.posterior(x)
    z = q.mean + q.log_scale.exp() * torch.randn(1, *q.mean.shape)[0]
    z_p = torch.randn_like(z)
    reconstructed, drawn = (model.decoder(latents).tanh() for latents in (z, z_p))
    kl = 0.5 * (q.mean**2 + (2 * q.log_scale).exp() - 1 - 2 * q.log_scale).sum(1).mean()
    features = [model.critic.maps(image)[-1].flatten(1) for image in (x, reconstructed)]
    distance = 0.5 * (features[1] - features[0]).square().sum(1).mean() / 0.5**2
    # log(1 - D) of both fakes, each weighing a half; D is the sigmoid of the critic's values
    fooled = sum(logsigmoid(-model.critic(fake)).mean() for fake in (reconstructed, drawn)) / 2
    expected = {
        "encoder": gradients(kl + distance, model.encoder),
        "decoder": gradients(gamma * distance + fooled, model.decoder),
    }
    for name, wanted in expected.items():
        for mine, theirs in zip(got[name], wanted, strict=True):
            torch.testing.assert_close(mine, theirs)
    # Each of these would be wrong, and is not the same.
    for name, wrong in {
        "encoder": (kl + gamma * distance, kl + distance + fooled, distance),
        "decoder": (distance + fooled, gamma * distance, kl + fooled),
    }.items():
        for loss in wrong:
            others = gradients(loss, model.get_submodule(name))
            assert any(not torch.allclose(a, b) for a, b in zip(got[name], others, strict=True))

    torch.manual_seed(1)
    loss, _ = model.critic_loss(x, None, 0)
    assert not any(
        g.any() for name in ("encoder", "decoder") for g in gradients(loss, model.get_submodule(name))
    )
    torch.manual_seed(1)
    with torch.no_grad():
        q = model.posterior(x)
        z = q.mean + q.log_scale.exp() * torch.randn_like(q.mean)
        fakes = [model.decoder(latents).tanh() for latents in (z, torch.randn_like(z))]
    told = (
        logsigmoid(model.critic(x)).mean() + sum(logsigmoid(-model.critic(fake)).mean() for fake in fakes) / 2
    )
    for mine, theirs in zip(gradients(loss, model.critic), gradients(-told, model.critic), strict=True):
        torch.testing.assert_close(mine, theirs)


class Moved(pl.Callback):
    """The modules whose weights each optimiser has, and which have gradients at its step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = [(name.split(".")[0], p) for name, p in pl_module.named_parameters()]
        self.seen.append({name for name, p in named if id(p) in mine and p.grad is not None and p.grad.any()})


def test_turns_averages_and_what_is_logged():
    moved, model, ema = Moved(), make(prior=partial(VampPrior, num_components=3)), Ema([0.9])
    trainer = fit(model, 2, moved, ema)
    assert trainer.global_step == 2
    assert moved.seen == [{"critic"}, {"encoder", "decoder", "prior_part"}] * 2
    averaged = {name.split(".")[0] for name in ema.averages["0.9"]}
    assert averaged == {"encoder", "decoder", "prior_part"}
    names = set(trainer.logged_metrics)
    assert {"train/critic_loss", "train/generator_loss", "train/kl", "train/feature_distance"} <= names
    assert "val/psnr" not in names, "which is the metric's, of the whole set's mean squared error"
    assert {"val/mse", "val/loss", "val/critic_loss", "val/generator_loss", "val/kl"} <= names
    assert all(torch.isfinite(value) for value in trainer.logged_metrics.values())


def test_what_it_can_be_asked_for():
    model, x = make().eval(), images(5)
    for capability in (CanSample, CanEncode, CanDecode, CanReconstruct):
        assert isinstance(model, capability)
    assert not isinstance(model, HasLogProb), "features give no likelihood of data"
    assert model.reconstruct(x).shape == x.shape
    whole = model.sample(7, rng=RandomStreams(3, 7))
    some = torch.cat([model.sample(len(rng), rng=rng) for rng in RandomStreams(3, 7).split(4)])
    torch.testing.assert_close(whole, some, atol=1e-5, rtol=1e-5)
    assert whole.abs().max() <= 1


def test_wrong_arguments_are_named():
    for settings, message in [
        ({"gamma": 0.0}, "gamma: got 0.0"),
        ({"scale": 0.0}, "scale: got 0.0"),
        (
            {"critic": lambda spec: LatentCritic(spec)},
            "critic: got 'LatentCritic', expected a critic with `maps",
        ),
        ({"clips": (0.0, None)}, "clip: got 0.0, expected a positive number"),
        ({"clips": (None, -1.0)}, "clip: got -1.0"),
        ({"level": 2}, "level: got 2, expected -2 to 1"),
    ]:
        with pytest.raises(UserError, match=message):
            make(**settings)


def test_a_gradient_is_scaled_and_the_value_is_not():
    z = torch.randn(5, requires_grad=True)
    scaled = scaled_gradient(z, 1e6)
    assert torch.equal(scaled, z)
    scaled.sum().backward()
    assert torch.equal(z.grad, torch.full((5,), 1e6))


def test_it_learns_digits_in_seconds():
    """Reconstructions in dB: untrained 8, by the mean image 12; here at least 13. Samples differ by half as data do."""
    model, ema = (
        make(
            encoder=partial(ConvEncoder, channels=[16, 32]),
            decoder=partial(ConvDecoder, channels=[16, 32]),
            critic=partial(DCGANCritic, channels=(16, 32)),
            latent_dim=8,
            objective=AdversarialObjective(regularisers=[R1(1.0)]),
            optimizer=partial(torch.optim.Adam, lr=3e-3, betas=(0.0, 0.99)),
        ),
        Ema([0.97]),
    )
    (batch,) = Digits().batches("val", batch_size=512)
    x = batch["image"]

    def psnr(y):
        return 10 * torch.log10(4 / (y - x).square().flatten(1).mean(1)).mean().item()

    mean_image, untrained = psnr(images(1000).mean(0, keepdim=True)), psnr(model.eval().reconstruct(x))
    fit(model.train(), 80, ema, limit=None, batch_size=32, validate=False)
    with ema.averaged(model):
        found, samples = psnr(model.reconstruct(x)), model.sample(300, rng=RandomStreams(0, 300))
    assert found > mean_image + 1 > untrained + 1
    assert samples.std(0).mean() > 0.5 * x.std(0).mean()
