"""The diffusion family: its parts together, its sampling contract, what it learns."""

from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from genlab.core import (
    CanSample,
    CanShowPath,
    Condition,
    DataSpec,
    Frozen,
    HasLogProb,
    ModalitySpec,
    RandomStreams,
    UserError,
)
from genlab.data import Synthetic
from genlab.families import Cosine, Diffusion
from genlab.networks import MLP, UNet
from genlab.objectives import Denoising, LearnedVariance
from genlab.probability import (
    CosinePath,
    EightGaussians,
    EntropicCoupling,
    LinearBetaPath,
    LinearPath,
    LogitNormalTime,
    NoisePrediction,
    OptimalCoupling,
    VelocityPrediction,
    VPrediction,
)
from genlab.solvers import (
    DDIM,
    Ancestral,
    Autoguidance,
    ClassifierFreeGuidance,
    ClassifierGuidance,
    EDMStochastic,
    Euler,
    EulerMaruyama,
    Heun,
    IntervalGuidance,
)

DIGITS = DataSpec(
    "digits", {"image": ModalitySpec((1, 8, 8), num_levels=17), "label": ModalitySpec(num_classes=10)}
)
SMALL = partial(UNet, channels=8, multipliers=(1, 2), num_blocks=1, attention=(4,))
PARTS = [
    {"path": LinearPath(), "prediction": VelocityPrediction(), "solver": Heun(4)},
    {"path": LinearBetaPath(), "prediction": NoisePrediction(), "solver": Ancestral(5)},
    {"path": CosinePath(), "prediction": VPrediction(), "solver": DDIM(5)},
]


def digits_model(**settings) -> Diffusion:
    """A small model off its zero start."""
    torch.manual_seed(0)
    model = Diffusion(DIGITS, SMALL, **settings)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def digits_batch(n: int = 6) -> dict[str, Tensor]:
    """Random images on the digits' levels, with labels."""
    levels = torch.randint(17, (n, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return {"image": DIGITS["image"].values(levels), "label": torch.arange(n) % 10}


@pytest.mark.parametrize("parts", PARTS)
def test_trains_and_samples_with_every_choice_of_parts(parts):
    model = digits_model(**parts)
    terms = model.loss(digits_batch(), label_dropout=0.1)
    terms["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())
    assert set(terms) == {"loss", "mse"}
    samples = model.sample(3, condition=Condition(label=torch.tensor([1, 2, 3])), rng=RandomStreams(0, 3))
    assert samples.shape == (3, 1, 8, 8)
    assert -1 <= samples.min() <= samples.max() <= 1
    assert not samples.requires_grad
    assert isinstance(model, CanSample)
    assert isinstance(model, CanShowPath)


def test_a_sample_depends_on_its_stream_and_condition_alone():
    model = digits_model(solver=Ancestral(4), path=LinearBetaPath(), prediction=NoisePrediction())
    condition, rng = Condition(label=torch.arange(5)), RandomStreams(3, 5)
    together = model.sample(5, condition=condition, rng=rng)
    apart = [model.sample(1, condition=condition[i : i + 1], rng=RandomStreams(3, [i])) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-4, atol=1e-5)
    other = model.sample(5, condition=Condition(label=torch.arange(5) + 5), rng=RandomStreams(3, 5))
    assert (together - other).flatten(1).abs().amax(1).min() > 1e-4


def test_path_goes_from_noise_to_the_sample():
    model = digits_model(solver=Heun(6))
    path = model.sample_path(4, rng=RandomStreams(0, 4), num_frames=5)
    assert path.shape == (5, 4, 1, 8, 8)
    torch.testing.assert_close(path[0], RandomStreams(0, 4).normal((1, 8, 8)).clamp(-1, 1))
    for frames in (path, model.sample_path(4, rng=RandomStreams(0, 4), num_frames=1)):
        torch.testing.assert_close(frames[-1], model.sample(4, rng=RandomStreams(0, 4)))


def test_protocol_says_how_samples_were_made():
    model = digits_model(solver=Heun(6), guidance_scale=1.5)
    assert model.sampling_protocol() == {
        "solver": "Heun",
        "num_steps": 6,
        "nfe": 22,  # of networks: guidance costs two
        "grid": "uniform",
        "guidance_scale": 1.5,
        "clamp": None,
    }


def test_guidance_scale_is_1_for_the_conditional_model():
    model = digits_model(solver=Euler(3))
    condition = Condition(label=torch.tensor([4, 7]))

    def sample(**settings):
        return model.sample(2, rng=RandomStreams(0, 2), **settings)

    torch.testing.assert_close(sample(condition=condition), sample(condition=condition, guidance_scale=1.0))
    torch.testing.assert_close(
        sample(condition=condition, guidance_scale=0.0), sample(), rtol=1e-4, atol=1e-5
    )
    assert (sample(condition=condition, guidance_scale=3.0) - sample(condition=condition)).abs().max() > 1e-4


def test_a_model_that_never_saw_the_null_condition_samples_classes():
    model = digits_model(solver=Euler(3), label_dropout=0.0)
    rng = RandomStreams(0, 3)
    with torch.no_grad():
        model.network.condition.embedding.weight[10] = torch.nan
    assert model.sample(3, rng=rng).isfinite().all()
    with pytest.raises(UserError, match="guidance_scale"):
        model.sample(3, rng=rng, guidance_scale=2.0)


def test_dequantised_data_stay_within_their_bins(monkeypatch):
    model, seen = digits_model(dequantise=True), []
    monkeypatch.setattr(
        model.objective,
        "forward",
        lambda denoiser, x_0, c: (seen.append(x_0), (torch.zeros(len(x_0)), {}))[1],
    )
    batch = digits_batch()
    model.loss(batch)
    assert torch.equal(DIGITS["image"].levels(seen[0]), DIGITS["image"].levels(batch["image"]))
    assert (seen[0] - batch["image"]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"path": LinearPath(), "prediction": NoisePrediction()},
            "prediction: got 'NoisePrediction on LinearPath",
        ),
        ({"path": CosinePath(t_min=0.01), "solver": Euler(1000)}, "num_steps"),
        ({"label_dropout": 1.2}, "label_dropout"),
        ({"clamp": 0.0}, "clamp: got 0.0"),
        ({"label_dropout": 0.0, "guidance_scale": 2.0}, "guidance_scale"),
    ],
)
def test_refuses_parts_that_do_not_fit(settings, message):
    with pytest.raises(UserError, match=message):
        digits_model(**settings)


@pytest.mark.parametrize("coupling", [OptimalCoupling(), EntropicCoupling()])
def test_noise_that_is_coupled_with_the_data_leaves_no_score(coupling):
    coupled = {"objective": Denoising(coupling=coupling), "path": LinearPath(1e-3, 0.999)}
    assert digits_model(**coupled, solver=DDIM(4)).sample(2, rng=RandomStreams(0, 2)).isfinite().all()
    for solver in (Ancestral(4), DDIM(4, eta=0.5), EulerMaruyama(4), EDMStochastic(4, churn=2.0)):
        digits_model(path=coupled["path"], solver=solver)
        with pytest.raises(UserError, match=r"solver: got .* without noise in its steps.* use an ODE's"):
            digits_model(**coupled, solver=solver)


def test_data_that_come_with_their_noise_leave_no_score():
    paired = DataSpec("pairs", {**DIGITS.modalities, "noise": ModalitySpec((1, 8, 8))})
    assert not Diffusion(paired, SMALL, solver=Euler(2)).has_score
    with pytest.raises(UserError, match="solver: got 'Ancestral'"):
        Diffusion(paired, SMALL, solver=Ancestral(4))


def test_refuses_to_dequantise_what_has_no_levels():
    with pytest.raises(UserError, match="dequantise: got True"):
        Diffusion(DataSpec("v", {"vector": ModalitySpec((2,))}), MLP, dequantise=True)


def test_refuses_guidance_without_labels():
    unlabelled = DataSpec("x", {"image": DIGITS["image"]})
    with pytest.raises(UserError, match="guidance_scale"):
        Diffusion(unlabelled, SMALL, guidance_scale=2.0)


def test_data_are_dealt_out_within_classes_only_where_the_network_sees_classes():
    batch = {"image": torch.randn(8, 1, 8, 8), "label": torch.arange(8) % 2}
    for conditional in (True, False):
        seen = []
        network = partial(SMALL, conditional=conditional)
        model = Diffusion(DIGITS, network, objective=Denoising(coupling=OptimalCoupling()))
        model.objective.forward = lambda denoiser, x_0, condition: (seen.append(condition), (x_0, {}))[1]  # noqa: B023
        model.losses("train", batch)
        assert [c is not None for c in seen] == [conditional]


def test_an_unconditional_network_makes_an_unconditional_model():
    model = Diffusion(DIGITS, partial(SMALL, conditional=False), solver=Euler(2))
    assert not model.conditional
    assert digits_model().conditional
    with pytest.raises(UserError, match="unconditional"):
        model.sample(2, condition=Condition(label=torch.arange(2)), rng=RandomStreams(0, 2))
    with pytest.raises(UserError, match="guidance_scale"):
        Diffusion(DIGITS, partial(SMALL, conditional=False), guidance_scale=2.0)


def test_refuses_noise_or_conditions_for_another_number_of_samples():
    model = digits_model()
    with pytest.raises(UserError, match="rng"):
        model.sample(3, rng=RandomStreams(0, 2))
    with pytest.raises(UserError, match="condition"):
        model.sample(2, condition=Condition(label=torch.arange(3)), rng=RandomStreams(0, 2))


def sliced_wasserstein(x: Tensor, y: Tensor) -> float:
    """Wasserstein-2 distance of sorted projections on 64 directions, root of the mean square."""
    angles = torch.arange(64) * torch.pi / 64
    directions = torch.stack([angles.cos(), angles.sin()])
    return ((x @ directions).sort(0).values - (y @ directions).sort(0).values).square().mean().sqrt().item()


CHOICES = {
    "flow matching": {"solver": Heun(12), "objective": Denoising(times=LogitNormalTime(stratified=True))},
    "v on a cosine path": {"path": CosinePath(), "prediction": VPrediction(), "solver": DDIM(40)},
}


@pytest.mark.parametrize(
    "choice", ["flow matching", pytest.param("v on a cosine path", marks=pytest.mark.slow)]
)
def test_learns_eight_gaussians(choice):
    pl.seed_everything(0, verbose=False)
    data = Synthetic(EightGaussians(), num_train=20_000, num_test=2000, batch_size=256)
    steps = 400 if choice == "flow matching" else 1000
    model = Diffusion(
        data.spec,
        partial(MLP, width=64),
        schedule=Cosine(total=steps, warmup=20),
        optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=0.0),
        **CHOICES[choice],
    )
    real, other = (next(data.batches(split, batch_size=2000))["vector"] for split in ("test", "val"))
    untrained = sliced_wasserstein(model.sample(2000, rng=RandomStreams(0, 2000)), real)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        enable_checkpointing=False,
        limit_val_batches=0,
        **quiet,
    )
    trainer.fit(model, data)
    samples = model.sample(2000, rng=RandomStreams(0, 2000))
    floor, reached = sliced_wasserstein(other, real), sliced_wasserstein(samples, real)
    nearest = (samples[:, None] - samples.new_tensor(eight_centres())).norm(dim=2)
    weights = torch.bincount(nearest.argmin(1), minlength=8) / 2000
    assert untrained > 5 * floor
    assert reached < 2 * floor
    assert (weights * 8 - 1).abs().max() < 0.35
    assert (nearest.amin(1) < 0.4).float().mean() > 0.95


def eight_centres() -> list[tuple[float, float]]:
    """Where the eight Gaussians sit."""
    angles = [k * torch.pi / 4 for k in range(8)]
    return [(float(torch.tensor(a).cos()), float(torch.tensor(a).sin())) for a in angles]


def test_a_learned_variance_is_trained_and_sampled_with():
    parts = {"path": LinearBetaPath(), "prediction": NoisePrediction()}
    model = digits_model(
        objective=LearnedVariance(num_steps=20), solver=Ancestral(5, variance="learned"), clamp=1.0, **parts
    )
    terms = model.loss(digits_batch(), label_dropout=0.1)
    terms["loss"].backward()
    assert set(terms) == {"loss", "mse", "vlb"}
    assert all(p.grad is not None for p in model.parameters())
    rng, condition = RandomStreams(0, 3), Condition(label=torch.arange(3))

    def sample(variance, **settings):
        return model.sample(
            3, condition=condition, rng=rng, solver=Ancestral(5, variance=variance), **settings
        )

    assert (sample("learned") - sample("posterior")).abs().max() > 1e-3
    with torch.no_grad():
        model.network.conv_out.weight[1] = 0
        for fixed, bias in (("posterior", -1), ("forward", 1)):
            model.network.conv_out.bias[1] = bias
            for settings in ({}, {"guidance_scale": 2.0}):
                torch.testing.assert_close(sample("learned", **settings), sample(fixed, **settings))
    with pytest.raises(UserError, match="variance: got 'learned'"):
        digits_model(solver=Ancestral(5, variance="learned"), **parts)
    with pytest.raises(UserError, match="num_outputs"):
        Diffusion(DIGITS, OneOutput, objective=LearnedVariance(), **parts)


class OneOutput(torch.nn.Module):
    """A network that knows nothing of variances."""

    def __init__(self, spec):
        super().__init__()


def test_protocol_counts_evaluations_of_networks_under_all_guidance():
    limited = IntervalGuidance(ClassifierFreeGuidance(2.0), low=0.0, high=1.0)
    model = digits_model(solver=Euler(4), guidance=[limited])
    protocol = model.sampling_protocol()
    assert protocol["nfe"] == 6  # at t = 1, 3/4 once; at 1/2 and 1/4 twice
    assert protocol["guidance"] == [limited.protocol()]
    condition, rng = Condition(label=torch.arange(3)), RandomStreams(0, 3)
    plain = digits_model(solver=Euler(4)).sample(3, condition=condition, rng=rng)
    assert (model.sample(3, condition=condition, rng=rng) - plain).abs().max() > 1e-4


def told_apart(weaker_dropout, **settings):
    """A model under guidance by another that lost its labels in training so often."""
    weaker = digits_model(label_dropout=weaker_dropout, solver=Euler(2))
    return digits_model(
        solver=Euler(2),
        guidance=[Autoguidance(Frozen(model=weaker), 2.0), *settings.pop("more", [])],
        **settings,
    )


def test_a_weaker_model_that_never_lost_its_label_is_not_asked_without():
    model, rng, labels = told_apart(0.0), RandomStreams(0, 3), torch.arange(3)
    line = "weaker: got 'a model that never lost its label in training', expected one that did, .*; give every sample"
    some = Condition(label=labels, keep={"label": torch.tensor([True, False, True])})
    for condition in (None, some):
        with pytest.raises(UserError, match=line) as error:
            model.sample(3, condition=condition, rng=rng)
        assert "\n" not in str(error.value)
    outer = told_apart({"label": 0.0}, more=[ClassifierFreeGuidance(2.0)])
    with pytest.raises(UserError, match=line):
        outer.sample(3, condition=Condition(label=labels), rng=rng)


def test_a_weaker_model_is_asked_for_all_that_it_has_learned():
    rng, labels = RandomStreams(0, 3), torch.arange(3)
    whole = Condition(label=labels, keep={"label": torch.ones(3, dtype=torch.bool)})
    for model in (told_apart(0.0), told_apart(0.0, label_dropout=0.0), told_apart(0.0, guidance_scale=2.0)):
        for condition in (Condition(label=labels), whole):
            assert model.sample(3, condition=condition, rng=rng).isfinite().all()
    drawn = told_apart(0.0, label_dropout=0.0).sample(3, rng=rng)  # classes are drawn
    assert drawn.isfinite().all()
    assert told_apart(0.1).sample(3, rng=rng).isfinite().all()


class EvenClassifier:
    """A classifier on the linear path, of as many classes as digits."""

    path = LinearPath()

    def log_prob_of(self, x_t, t, condition):
        return x_t.flatten(1)[:, 0] * condition.label


def test_a_classifier_over_guidance_by_the_condition_passes_the_condition_on():
    for inner in ({"guidance_scale": 5.0}, {"guidance": [IntervalGuidance(ClassifierFreeGuidance(5.0))]}):
        outer = [*inner.pop("guidance", []), ClassifierGuidance(EvenClassifier())]
        with pytest.raises(UserError, match="conditional: got False, expected True over a guidance"):
            digits_model(**inner, guidance=outer)
    made = [
        digits_model(guidance_scale=scale, guidance=[ClassifierGuidance(EvenClassifier(), conditional=True)])
        for scale in (1.0, 5.0)
    ]
    condition, rng = Condition(label=torch.arange(3)), RandomStreams(0, 3)
    one, five = (model.sample(3, condition=condition, rng=rng) for model in made)
    assert (one - five).abs().max() > 1e-3
    assert [model.sampling_protocol()["nfe"] for model in made] == [2 * 39, 3 * 39]


def test_log_likelihoods_are_those_of_the_learned_gaussian():
    """A network that is exact for data from N(0, 1), on vectors and on levels."""

    class Exact(torch.nn.Module):
        conditions = ()

        def __init__(self, spec):
            super().__init__()

        def forward(self, x, t, condition):
            t = t.reshape(-1, *[1] * (x.ndim - 1))
            return x * (2 * t - 1) / (t**2 + (1 - t) ** 2)  # E[eps - x_0 | x_t]

    vectors = Diffusion(DataSpec("v", {"vector": ModalitySpec((3,))}), Exact)
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
    answer = vectors.log_prob(x, rng=RandomStreams(0, 16))
    truth = torch.distributions.Normal(0, 1).log_prob(x).sum(1)
    torch.testing.assert_close(answer.nats.float(), truth, rtol=0, atol=1e-3)
    assert (answer.kind, answer.measure) == ("exact", "density")
    assert isinstance(vectors, HasLogProb)

    levels = Diffusion(DataSpec("d", {"image": ModalitySpec((1, 4, 4), num_levels=8)}), Exact)
    x = levels.spec["image"].values(torch.randint(8, (16, 1, 4, 4)))
    answer = levels.log_prob(x)
    assert (answer.kind, answer.measure) == ("bound", "dequantised")
    normal = torch.distributions.Normal(0.0, 1.0)
    truth = (normal.cdf(x + 1 / 8) - normal.cdf(x - 1 / 8)).log().flatten(1).sum(1)
    assert (
        answer.nats - truth
    ).mean().abs() < 0.2  # one u each; the trace is exact for a multiple of the identity
    with pytest.raises(UserError, match="rng"):
        levels.log_prob(x, rng=RandomStreams(0, 3))
