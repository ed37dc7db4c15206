"""A prior of a frozen first stage's tokens: kept tokens, samples through the first stage, refusals."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn

from genlab.core import (
    Codebooks,
    Condition,
    DataSpec,
    Frozen,
    HasLogProb,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Digits, Encoded
from genlab.families import VQVAE, Autoregressive, TokenPrior
from genlab.networks import FiniteScalar, MapDecoder, MapEncoder, TokenTransformer, VectorQuantiser

SPEC = Digits().spec
PRIOR = partial(
    Autoregressive, network=partial(TokenTransformer, depth=1, width=16, num_heads=2), label_dropout=0.0
)


class Blocks(nn.Module):
    """Tokens of 2x2 blocks: their mean brightness in so many levels."""

    def __init__(self, spec: DataSpec, levels: int = 4):
        super().__init__()
        self.spec, self.quantiser = spec, FiniteScalar([levels])
        grid = spec.shape[1] // 2, spec.shape[2] // 2
        self.codebooks = Codebooks(levels, (grid,))
        self.register_buffer("gain", torch.tensor(2.0))
        self.seen = 0

    def tokenize(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.quantiser.encode(self.gain * nn.functional.avg_pool2d(x, 2))

    def detokenize(self, tokens: Tensor) -> Tensor:
        codes = self.quantiser.decode(tokens)
        return codes.repeat_interleave(2, 2).repeat_interleave(2, 3).clamp(-1, 1)


@pytest.fixture
def digits(monkeypatch, tmp_path) -> Encoded:
    monkeypatch.setenv("GENLAB_CACHE", str(tmp_path))
    return Encoded(Digits(batch_size=20, limit=60))


def test_trains_on_kept_tokens_and_samples_through_the_first_stage(digits):
    torch.manual_seed(0)
    stage = Blocks(digits.spec)
    model = TokenPrior(digits.spec, Frozen(model=stage), PRIOR)
    assert model.conditions == ("label",)
    assert model.averaged_modules() == ["prior.network"]
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(model, digits)
    assert stage.seen == 60, "each datum once"
    batch = next(iter(digits.train_dataloader()))
    assert "image" not in batch
    assert batch["tokens"].dtype == torch.int64
    assert batch["tokens"].shape == (20, 4, 4)
    images = next(digits.batches("train"))
    from_images = model.losses("val", images)
    again = model.losses("val", {"tokens": model.tokenize(images["image"]), "label": images["label"]})
    assert from_images["bits_per_token"] == again["bits_per_token"]
    assert from_images["bits_per_token"] < 1.9  # 2 bits at the start
    x = model.sample(6, rng=RandomStreams(0, 6))
    assert x.shape == (6, 1, 8, 8)
    assert not model.has_sample_path, "tokens come one after another"
    assert torch.equal(model.reconstruct(x), x)
    assert torch.equal(x[4:], model.sample(2, rng=RandomStreams(0, range(4, 6))))
    assert model.sampling_protocol()["first_stage"] == model.first_stage.digest


def first_stage(codes: int = 2, channels: tuple[int, ...] = (8, 8, 8, 8)) -> VQVAE:
    """Of one token for each image at four resolutions."""
    torch.manual_seed(0)
    parts = {"channels": list(channels), "num_blocks": 1}
    quantiser = VectorQuantiser(2, codes)
    return VQVAE(SPEC, partial(MapEncoder, **parts), quantiser, partial(MapDecoder, **parts)).eval()


def test_a_prior_that_knows_nothing_is_the_first_stages_own():
    stage, x, label = first_stage(8, (8, 8)), torch.rand(5, 1, 8, 8) * 2 - 1, torch.arange(5)
    model = TokenPrior(SPEC, Frozen(model=stage), PRIOR)
    found, expected = model.log_prob(x, condition=Condition(label=label)), stage.log_prob(x)
    torch.testing.assert_close(found.nats, expected.nats)
    assert (found.kind, found.measure, found.method) == ("bound", expected.measure, "tokens, chain rule")
    assert isinstance(model, HasLogProb)
    assert model.has_log_prob


def test_its_likelihood_is_the_token_that_is_taken_out_of_the_sum_over_all():
    stage, x = first_stage(), torch.rand(6, 1, 8, 8) * 2 - 1
    model = TokenPrior(SPEC, Frozen(model=stage), partial(PRIOR, label_dropout=1.0))
    nn.init.normal_(model.prior.network.head.bias)
    every = torch.tensor([[[[0]]], [[[1]]]])  # one token, on a 1x1 grid
    log_p = model.prior.network(torch.zeros(1, 1, dtype=torch.int64), None)[0, 0].log_softmax(0)
    with torch.no_grad():
        joint = [log_p[k] + stage.log_prob_given(x, every[k].expand(6, 1, 1)).nats for k in (0, 1)]
    joint = torch.stack(joint)
    found = model.log_prob(x).nats
    taken = model.tokenize(x).flatten()
    torch.testing.assert_close(found, joint[taken, torch.arange(6)])
    assert (found <= joint.logsumexp(0)).all()
    assert (joint[0] - joint[1]).abs().max() > 0.1


def test_likelihoods_need_the_first_stages(digits):
    model = TokenPrior(digits.spec, Frozen(model=Blocks(digits.spec)), PRIOR)
    assert not model.has_log_prob
    with pytest.raises(UserError, match="first_stage: got 'Blocks', expected one with a likelihood"):
        model.log_prob(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"image": ModalitySpec((1, 8, 8), num_levels=256)}, "with 256 levels', expected .*with 17 levels"),
        (
            {"image": ModalitySpec((1, 4, 4), num_levels=17)},
            r"\(1, 4, 4\) with 17 levels', expected .*\(1, 8, 8\)",
        ),
    ],
)
def test_refuses_a_first_stage_of_other_data(digits, other, message):
    stage = Blocks(DataSpec("digits", other))
    with pytest.raises(UserError, match=f"first_stage: got 'a model of digits .*{message}"):
        TokenPrior(digits.spec, Frozen(model=stage), PRIOR)


def test_refuses_a_first_stage_without_tokens_and_weights_for_another_codebook(digits):
    with pytest.raises(UserError, match="first_stage: got 'Linear', expected a family with CanTokenize"):
        TokenPrior(digits.spec, Frozen(model=nn.Linear(2, 2)), PRIOR)
    four, five = (TokenPrior(digits.spec, Frozen(model=Blocks(digits.spec, n)), PRIOR) for n in (4, 5))
    with pytest.raises(UserError, match=r"levels: got \[5\], expected \[4\] as in the checkpoint"):
        five.load_state_dict(four.state_dict())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"levels": 5}, r"tokens on \(4, 4\) of 5 codes"),  # whose weights have the same shapes
        ({"grid": (2, 8)}, r"tokens on \(2, 8\) of 4 codes"),
    ],
)
def test_refuses_a_checkpoint_of_other_codebooks(digits, other, words):
    settings = {"levels": 4, **{k: v for k, v in other.items() if k == "levels"}}
    theirs, ours = Blocks(digits.spec), Blocks(digits.spec, **settings)
    if "grid" in other:
        ours.codebooks = Codebooks(4, (other["grid"],))
    before, now = (TokenPrior(digits.spec, Frozen(model=stage), PRIOR) for stage in (theirs, ours))
    checkpoint = {"state_dict": before.state_dict()}
    before.on_save_checkpoint(checkpoint)
    before.on_load_checkpoint(checkpoint)
    expected = rf"first_stage: got '{words}', expected \(4, 4\) of 4 codes as in the checkpoint"
    with pytest.raises(UserError, match=expected):
        now.on_load_checkpoint(checkpoint)


def test_refuses_data_with_tokens_of_their_own(digits):
    captioned = DataSpec("digits", {**digits.spec.modalities, "tokens": ModalitySpec((5,), num_classes=9)})
    with pytest.raises(UserError, match="data: got 'digits with tokens of their own', expected data without"):
        TokenPrior(captioned, Frozen(model=Blocks(digits.spec)), PRIOR)
