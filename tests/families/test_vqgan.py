"""VQ-GAN: whose turn it is, the weight of the game, and that the critic's turn leaves the codes alone."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch

from genlab.callbacks import Reproducible
from genlab.core import CanTokenize, UserError
from genlab.data import Digits
from genlab.families import VQGAN
from genlab.networks import MapDecoder, MapEncoder, PatchCritic, VectorQuantiser
from genlab.objectives import QuantisedReconstruction, adaptive_weight
from genlab.objectives.quantisation import Perceptual
from genlab.probability import Laplace

SPEC = Digits().spec
NARROW = {"channels": [8, 8], "num_blocks": 1}


def make(**parts):
    torch.manual_seed(0)
    critic = partial(PatchCritic, channels=[8])
    return VQGAN(
        SPEC,
        partial(MapEncoder, **NARROW),
        VectorQuantiser(4, 8),
        partial(MapDecoder, **NARROW),
        **{"critic": critic, **parts},
    )


def images():
    return next(Digits(limit=40).batches("train"))["image"]


def test_the_weight_makes_gradients_at_the_last_layer_alike():
    model, x = make(weight=1.0).train(), images()
    _, terms = model.model_loss(x, None, 0)
    weight = model.decoder.last.weight
    _, params = model.through(x)
    log_p = model.likelihood.log_prob(x, params)
    mean = model.likelihood.mean(params)
    fooled = -model.critic(mean).mean()
    ours = torch.autograd.grad(-log_p.mean() / 64, weight, retain_graph=True)[0].norm()
    theirs = torch.autograd.grad(fooled, weight)[0].norm()
    assert terms["adaptive_weight"] > 0
    assert not terms["adaptive_weight"].requires_grad
    torch.testing.assert_close(adaptive_weight(6 * weight.sum(), weight.sum(), weight), torch.tensor(6.0))
    # The codebook has learned in between, from the same features: nearly the same weight.
    torch.testing.assert_close(terms["adaptive_weight"], ours / theirs, rtol=0.2, atol=0)


def test_processes_that_share_a_batch_weigh_alike(monkeypatch):
    weight = torch.ones(2, requires_grad=True)
    rows = torch.tensor([[3.0, 1.0], [-1.0, 5.0]])

    def weighed(rank):
        theirs = iter([rows[1 - rank], torch.ones(2)])
        meet = lambda found: [gradient.add_(next(theirs)).div_(2) for gradient in found]  # noqa: E731
        return adaptive_weight((rows[rank] * weight).sum(), weight.sum(), weight, average=meet)

    both = rows.mean(0).norm() / 2**0.5  # alone, they would find 2.24 and 3.61
    torch.testing.assert_close(torch.stack([weighed(0), weighed(1)]), both.expand(2))
    seen = []
    monkeypatch.setattr("genlab.families.vqgan.average_over_ranks", lambda found: seen.append(len(found)))
    make().train().model_loss(images(), None, 0)
    assert seen == [2]


def test_a_critic_sees_classes_that_samples_cannot_be_asked_for_by():
    model, x = make(), next(Digits(limit=8).batches("train"))
    assert model.conditions == ()
    assert torch.equal(model.batch_parts(x)[1].label, x["label"])


def test_the_critics_turn_learns_no_codes_and_begins_when_asked():
    model, x = make(critic_start=5).train(), images()
    model.through(x)
    before = {name: b.clone() for name, b in model.quantiser.named_buffers()}
    early, _ = model.critic_loss(x, None, 4)
    late, terms = model.critic_loss(x, None, 5)
    assert all(torch.equal(b, before[name]) for name, b in model.quantiser.named_buffers())
    assert (float(early.detach()), float(late.detach())) == (0.0, float(terms["critic_loss"].detach()))
    early.backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in model.critic.parameters())
    assert "adaptive_weight" not in model.model_loss(x, None, 4)[1]
    assert "adaptive_weight" in model.model_loss(x, None, 5)[1]


class Absolute(Perceptual):
    def __call__(self, x, y):
        return (x - y).abs().mean((1, 2, 3))


def test_takes_turns_and_logs():
    model = make(objective=QuantisedReconstruction(perceptual=Absolute()))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=4, enable_model_summary=False, callbacks=[Reproducible()],
        limit_val_batches=1, val_check_interval=1, num_sanity_val_steps=0, **quiet,
    )  # fmt: skip
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    trainer.fit(model, Digits(batch_size=16, limit=64))
    assert trainer.global_step == 4
    still = {name for name, p in model.named_parameters() if torch.equal(p, start[name])}
    assert len(still) <= 1, "a hinge gives the critic's last bias no gradient at first"
    names = {"critic_loss", "generator_loss", "adaptive_weight", "perceptual", "reconstruction", "perplexity"}
    assert {f"train/{name}" for name in names} <= set(trainer.logged_metrics)
    assert {"val/usage", "val/perceptual", "val/mse"} <= set(trainer.logged_metrics)
    assert "critic" not in model.averaged_modules()
    assert {"encoder", "decoder", "quantiser"} <= set(model.averaged_modules())
    assert isinstance(model, CanTokenize)


def test_until_the_game_begins_the_critic_is_not_asked_and_its_steps_are_counted():
    model = make(critic_start=3)
    asked, began = [], {name: p.detach().clone() for name, p in model.critic.named_parameters()}
    model.critic.register_forward_hook(lambda *_: asked.append(model.trainer.global_step))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "limit_val_batches": 0, "accelerator": "cpu"}
    trainer = pl.Trainer(max_steps=3, callbacks=[Reproducible()], **quiet)
    trainer.fit(model, Digits(batch_size=16, limit=64))
    assert asked == []
    assert all(torch.equal(p, began[name]) for name, p in model.critic.named_parameters())
    counts = {int(state["step"]) for optimizer in trainer.optimizers for state in optimizer.state.values()}
    assert counts == {3}
    assert "train/critic_loss" not in trainer.logged_metrics
    trainer.fit_loop.epoch_loop.max_steps = 4
    trainer.fit(model, Digits(batch_size=16, limit=64))
    assert set(asked) == {3}


def test_patches_see_no_other_sample_and_no_more_than_their_own():
    critic, x = PatchCritic(SPEC, channels=[8], norm="spectral").eval(), images()
    torch.testing.assert_close(critic(x)[2:5], critic(x[2:5]))
    x = x[:1].clone().requires_grad_()
    critic(x)[0, 0].backward()
    seen = x.grad[0, 0] != 0
    assert seen[:6, :6].any()
    assert not seen[-1].any(), "a patch, not the image"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"weight": -1.0}, "weight: got -1.0"),
        ({"critic_start": -1}, "critic_start: got -1"),
        ({"clip": 0.0}, "clip: got 0.0"),
        ({"likelihood": partial(Laplace, scale=0.0)}, "scale: got 0.0"),
    ],
)
def test_refusals(parts, message):
    with pytest.raises(UserError, match=message):
        make(**parts)
