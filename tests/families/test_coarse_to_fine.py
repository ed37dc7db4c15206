"""Priors from coarse to fine: one distribution over all levels, the finer ones given the coarser."""

import itertools
from functools import partial

import pytest
import torch

from genlab.core import Condition, DataSpec, Frozen, ModalitySpec, RandomStreams, UserError
from genlab.data import Digits
from genlab.families import VQVAE, Autoregressive, CoarseToFine, Cosine, TokenPrior
from genlab.networks import (
    GatedPixelCNN,
    HierarchicalQuantiser,
    MapDecoder,
    MapEncoder,
    TokenTransformer,
    VectorQuantiser,
)
from genlab.solvers import AutoregressiveDecoding

NETWORK = partial(TokenTransformer, depth=1, width=16, num_heads=2)
LEVEL = partial(Autoregressive, network=NETWORK, label_dropout={"label": 0.1})
MODALITIES = {
    "tokens": ModalitySpec((5,), num_classes=2, grids=((1, 1), (2, 2))),
    "label": ModalitySpec(num_classes=3),
}
SPEC = DataSpec("x", MODALITIES)
ALL = torch.tensor(list(itertools.product([0, 1], repeat=5)))


def make(**parts):
    torch.manual_seed(0)
    model = CoarseToFine(SPEC, **{"coarse": LEVEL, "fine": LEVEL, **parts})
    for p in model.parameters():  # heads start at zero
        p.data += 0.3 * torch.randn_like(p)
    return model.eval()


def test_probabilities_of_all_sequences_sum_to_one():
    model, label = make(), Condition(label=torch.full((len(ALL),), 2))
    for condition in (None, label):
        found = model.log_prob(ALL, condition=condition)
        torch.testing.assert_close(found.nats.exp().sum(), torch.tensor(1.0))
        assert found.kind == "exact"
    assert found.nats.exp().std() > 0.005


def test_fine_levels_read_the_coarse_tokens():
    model = make()
    other = ALL.clone()
    other[:, 0] = 1 - other[:, 0]
    fine = [model.log_prob(x).nats - model.levels[0].log_prob(x[:, :1, None]).nats for x in (ALL, other)]
    assert (fine[0] - fine[1]).abs().min() > 1e-4


def test_samples_follow_the_model_and_streams():
    model = make()
    tokens = model.sample(4000, rng=RandomStreams(0, 4000))
    numbers = (tokens * torch.tensor([16, 8, 4, 2, 1])).sum(1)
    frequencies = torch.bincount(numbers, minlength=32) / len(tokens)
    expected = model.log_prob(ALL).nats.exp()
    assert (frequencies - expected).abs().max() < 4 * (expected.max() / len(tokens)).sqrt()
    assert torch.equal(tokens[100:130], model.sample(30, rng=RandomStreams(0, range(100, 130))))
    label = Condition(label=torch.tensor([0, 1, 2]))
    assert model.sample(3, condition=label, rng=RandomStreams(0, 3)).shape == (3, 5)
    assert model.sampling_protocol()["nfe"] == 5


def test_guidance_of_fine_levels_keeps_their_coarser_tokens():
    """Training loses labels alone: without a label there is nothing to guide away from, whatever the tokens."""
    decodings = [AutoregressiveDecoding(guidance_scale=scale) for scale in (1.0, 3.0)]
    model = make()
    given, rng = Condition(tokens=torch.ones(200, 1, dtype=torch.int64)), RandomStreams(0, 200)
    plain, guided = (model.levels[1].sample(200, condition=given, rng=rng, solver=d) for d in decodings)
    assert torch.equal(plain, guided)
    given = Condition(label=torch.ones(200, dtype=torch.int64), tokens=given.tokens)
    plain, guided = (model.levels[1].sample(200, condition=given, rng=rng, solver=d) for d in decodings)
    assert not torch.equal(plain, guided)


def test_fine_levels_never_lose_their_coarser_tokens():
    with pytest.raises(
        UserError, match=r"fine.label_dropout: got 0.1, expected one that never loses the coarser"
    ):
        make(fine=partial(Autoregressive, network=NETWORK))


@pytest.mark.parametrize("coarse", [0.0, 0.1])
def test_without_lost_labels_all_levels_get_the_same_classes(coarse):
    """Also where the fine one alone never loses them."""
    level = partial(Autoregressive, network=NETWORK, label_dropout=0.0)
    model, seen = make(coarse=partial(level, label_dropout=coarse), fine=level), []
    for own in model.levels:
        original = own.sample
        own.sample = lambda *a, original=original, **k: (
            seen.append(k["condition"].label),
            original(*a, **k),
        )[1]
    model.sample(20, rng=RandomStreams(0, 20))
    assert torch.equal(*seen)
    assert len(seen[0].unique()) == 3


def test_fine_levels_may_know_coarser_tokens_alone():
    deaf = partial(Autoregressive, network=partial(NETWORK, conditional=["tokens"]), label_dropout=0.0)
    model, label = make(fine=deaf), Condition(label=torch.tensor([0, 1, 2]))
    assert (model.conditions, model.levels[1].conditions) == (("label",), ("tokens",))
    for condition in (None, label):
        assert model.sample(3, condition=condition, rng=RandomStreams(0, 3)).shape == (3, 5)
    whole = model.log_prob(ALL[:3], condition=label).nats
    coarse = model.levels[0].log_prob(ALL[:3, :1, None], condition=label).nats
    given = Condition(tokens=ALL[:3, :1])
    torch.testing.assert_close(
        whole, coarse + model.levels[1].log_prob(ALL[:3, 1:].view(3, 2, 2), condition=given).nats
    )


def test_losses_are_the_levels_sums():
    model, label = make(), torch.arange(32) % 3
    terms = model.losses("val", {"tokens": ALL, "label": label})
    nats = model.log_prob(ALL, condition=Condition(label=label)).nats
    torch.testing.assert_close(terms["loss"], -nats.mean())
    level = model.levels[0].losses("val", {"codes": ALL[:, :1, None], "label": label})["bpd"]
    torch.testing.assert_close(terms["bits_per_token_1"], level)
    assert set(terms) == {"loss", "bpd", "bits_per_token_1", "bits_per_token_2"}
    torch.testing.assert_close(terms["bpd"], -nats.mean() / (5 * torch.tensor(2.0).log()))


def test_images_come_through_the_first_stage():
    spec = Digits().spec
    narrow, pair = {"channels": [8, 8], "num_blocks": 1}, [VectorQuantiser(4, 8) for _ in range(2)]
    stage = VQVAE(
        spec, partial(MapEncoder, **narrow), HierarchicalQuantiser(pair, 8), partial(MapDecoder, **narrow)
    )
    model = TokenPrior(spec, Frozen(model=stage), partial(CoarseToFine, coarse=LEVEL, fine=LEVEL))
    assert model.prior.codebooks.grids == ((2, 2), (4, 4))
    assert sorted(model.averaged_modules()) == ["prior.levels.0.network", "prior.levels.1.network"]
    x = model.sample(5, rng=RandomStreams(0, 5))
    assert x.shape == (5, 1, 8, 8)
    batch = next(Digits(limit=8).batches("train"))
    bits = model.losses("val", batch)["bits_per_token"]
    torch.testing.assert_close(bits, torch.tensor(3.0))  # heads start at zero


def test_refusals():
    flat = DataSpec("x", {**MODALITIES, "tokens": ModalitySpec((5,), num_classes=2)})
    with pytest.raises(
        UserError, match=r"spec: got 'tokens of shape \(5,\)', expected tokens of several grids"
    ):
        CoarseToFine(flat, LEVEL, LEVEL)
    deaf = partial(Autoregressive, network=partial(GatedPixelCNN, channels=8, num_layers=1))
    with pytest.raises(UserError, match=r"fine: got .*expected a model that reads the coarser tokens"):
        make(fine=deaf)
    for name in ("coarse", "fine"):
        with pytest.raises(UserError, match=rf"{name}\.optimizer: got 'SGD', expected none of its own"):
            make(**{name: partial(LEVEL, optimizer=partial(torch.optim.SGD, lr=1.0))})
        with pytest.raises(UserError, match=rf"{name}\.optimizer: got 'AdamW', expected none of its own"):
            make(**{name: partial(LEVEL, optimizer=partial(torch.optim.AdamW, lr=3e-4))})
        with pytest.raises(UserError, match=rf"{name}\.schedule: got .Cosine.*expected none of its own"):
            make(**{name: partial(LEVEL, schedule=Cosine(100))})


def test_refuses_a_checkpoint_of_another_codebook():
    spec, narrow = Digits().spec, {"channels": [8, 8], "num_blocks": 1}
    prior = partial(Autoregressive, network=NETWORK)

    def model(codes):
        parts = partial(MapEncoder, **narrow), VectorQuantiser(4, codes), partial(MapDecoder, **narrow)
        return TokenPrior(spec, Frozen(model=VQVAE(spec, *parts)), prior)

    message = r"first_stage: got .*quantiser.codebook \(9, 4\)', expected \(8, 4\) as in the checkpoint"
    with pytest.raises(UserError, match=message):
        model(9).on_load_checkpoint({"state_dict": model(8).state_dict()})
    model(8).on_load_checkpoint({"state_dict": model(8).state_dict()})
