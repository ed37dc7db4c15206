"""Guidance: its maps by themselves, together, and what they refuse."""

import pytest
import torch

from genlab.core import Condition, DataSpec, ModalitySpec, UserError
from genlab.probability import (
    CosinePath,
    EDMPath,
    EightGaussians,
    Estimate,
    ExactDenoiser,
    GaussianMixture,
    LinearPath,
)
from genlab.solvers import (
    DDIM,
    Autoguidance,
    ClampedData,
    ClassifierFreeGuidance,
    ClassifierGuidance,
    DormandPrince,
    DynamicThresholding,
    Guidable,
    Heun,
    IntervalGuidance,
    network_evaluations,
)


class Labelled:
    """A denoiser that answers with its condition, -1 where there is none."""

    path = CosinePath()

    def __init__(self):
        self.batches = []

    def __call__(self, x_t, t, condition=None):
        self.batches.append(len(x_t))
        answer = torch.full((len(x_t),), -1.0)
        if condition is not None:
            answer = torch.where(condition.kept("label"), condition.label.float(), answer)
        return Estimate(answer[:, None].expand_as(x_t), t[:, None] + 0 * x_t)


@pytest.mark.parametrize(("scale", "expected"), [(0.0, [-1.0, -1.0]), (1.0, [2.0, 5.0]), (3.0, [8.0, 17.0])])
def test_scale_goes_from_unconditional_through_conditional(scale, expected):
    denoiser = Labelled()
    guided = ClassifierFreeGuidance(scale)(denoiser)
    estimate = guided(torch.zeros(2, 3), torch.tensor([0.1, 0.2]), Condition(label=torch.tensor([2, 5])))
    assert estimate.x_0[:, 0].tolist() == expected
    torch.testing.assert_close(estimate.eps[:, 0], torch.tensor([0.1, 0.2]))
    assert len(denoiser.batches) == 1, "both halves go in one batch"
    assert guided.path is denoiser.path


def test_a_dropped_condition_stays_dropped():
    condition = Condition(label=torch.tensor([2, 5]), keep={"label": torch.tensor([False, True])})
    estimate = ClassifierFreeGuidance(2.0)(Labelled())(torch.zeros(2, 1), torch.zeros(2), condition)
    assert estimate.x_0[:, 0].tolist() == [-1.0, 11.0]


def test_guidances_compose():
    condition = Condition(label=torch.tensor([2]))
    twice = ClassifierFreeGuidance(1.5)(ClassifierFreeGuidance(2.0)(Labelled()))
    once = ClassifierFreeGuidance(3.0)(Labelled())
    args = (torch.zeros(1, 1), torch.zeros(1), condition)
    torch.testing.assert_close(twice(*args).x_0, once(*args).x_0)


def test_without_a_condition_it_is_the_denoiser():
    denoiser = Labelled()
    assert ClassifierFreeGuidance(4.0)(denoiser)(torch.zeros(2, 1), torch.zeros(2)).x_0[0].item() == -1
    assert denoiser.batches == [2]


def test_clamped_data_stay_in_their_bounds_and_agree_with_x_t():
    path = CosinePath()
    x_t, t = 3 * torch.randn(5, 4, dtype=torch.float64), torch.linspace(0.1, 0.9, 5, dtype=torch.float64)

    class Doubles:
        """Estimates that are no bounded data."""

        def __init__(self):
            self.path = path

        def __call__(self, x_t, t, condition=None):
            return Estimate(2 * x_t, x_t)

    estimate = ClampedData(1.0)(Doubles())(x_t, t)
    torch.testing.assert_close(estimate.x_0, (2 * x_t).clamp(-1, 1))
    torch.testing.assert_close(path.sample(estimate.x_0, estimate.eps, t), x_t)


MIXTURE = GaussianMixture(
    [[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]], scale=[0.2, 0.4, 0.3], weights=[1.0, 2.0, 3.0]
)
LABELS = Condition(label=torch.arange(3).repeat(5))


def asked(path, seed=0):
    """Points and times of 15 samples."""
    generator = torch.Generator().manual_seed(seed)
    x_t = torch.randn(15, 2, generator=generator, dtype=torch.float64)
    return x_t, torch.linspace(path.t_min + 0.05, path.t_max - 0.05, 15, dtype=torch.float64)


class ExactClassifier:
    """p(k | x_t) of a mixture."""

    def __init__(self, path):
        self.path, self.exact = path, ExactDenoiser(MIXTURE, path)

    def log_prob_of(self, x_t, t, condition):
        return self.exact.log_classes(x_t, t).gather(1, condition.label[:, None]).squeeze(1)


@pytest.mark.parametrize("path", [LinearPath(), CosinePath(), EDMPath()])
def test_classifier_guidance_of_an_unconditional_model_is_bayes_rule(path):
    exact = ExactDenoiser(MIXTURE, path)
    guided = ClassifierGuidance(ExactClassifier(path))(exact)
    x_t, t = asked(path)
    with torch.inference_mode():
        estimate = guided(x_t.clone(), t, LABELS.clone())  # a condition, too, may be of inference mode
    expected = exact(x_t, t, LABELS)
    torch.testing.assert_close(estimate.eps, expected.eps)
    torch.testing.assert_close(estimate.x_0, expected.x_0, rtol=1e-6, atol=1e-5)


def test_classifier_guidance_scales_as_classifier_free_guidance_does():
    path = LinearPath()
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)
    by_classifier = ClassifierGuidance(ExactClassifier(path), scale=2.5)(exact)(x_t, t, LABELS)
    without = ClassifierFreeGuidance(2.5)(exact)(x_t, t, LABELS)
    torch.testing.assert_close(by_classifier.eps, without.eps)
    torch.testing.assert_close(by_classifier.x_0, without.x_0)


def test_classifier_guidance_at_pure_noise_is_none():
    path = LinearPath()
    exact, x_t, t = ExactDenoiser(MIXTURE, path), asked(path)[0], torch.ones(15, dtype=torch.float64)
    guided = ClassifierGuidance(ExactClassifier(path), 3.0)(exact)(x_t, t, LABELS)
    torch.testing.assert_close(guided.x_0, exact(x_t, t).x_0)


def test_a_classifier_does_not_guide_what_has_lost_its_label():
    path = LinearPath()
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)
    guided = ClassifierGuidance(ExactClassifier(path), 3.0)(exact)(x_t, t, LABELS.null())
    torch.testing.assert_close(guided.eps, exact(x_t, t).eps)


def test_a_classifier_does_not_guide_where_no_class_is_asked_for():
    path = LinearPath()
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)
    guided = ClassifierGuidance(ExactClassifier(path), 3.0)(exact)
    torch.testing.assert_close(guided(x_t, t, Condition(vector=torch.zeros(15, 2))).eps, exact(x_t, t).eps)


def test_a_classifier_takes_the_place_of_the_label_alone():
    path, seen = LinearPath(), []
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)

    def told(x, at, condition):
        seen.append(condition)
        return exact(x, at)

    told.path = path
    ClassifierGuidance(ExactClassifier(path), 3.0)(told)(
        x_t, t, Condition(label=LABELS.label, vector=torch.zeros(15, 2))
    )
    ClassifierGuidance(ExactClassifier(path), 3.0)(told)(x_t, t, Condition())  # asked for nothing
    assert not seen[0].kept("label").any()
    assert seen[0].kept("vector").all()


@pytest.mark.parametrize("conditional", [False, True])
def test_outside_its_interval_a_classifier_leaves_the_model_that_it_guides_inside(conditional):
    path = LinearPath()
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)
    guidance = ClassifierGuidance(ExactClassifier(path), 3.0, conditional)
    found = IntervalGuidance(guidance, 0.3, 2.0)(exact)(x_t, t, LABELS)
    inside = (path.noise_level(t) > 0.3) & (path.noise_level(t) <= 2.0)
    plain = exact(x_t, t, LABELS if conditional else None)
    torch.testing.assert_close(found.x_0[~inside], plain.x_0[~inside])
    outside = IntervalGuidance(guidance, 1e6)(exact)(x_t, t, LABELS)
    torch.testing.assert_close(outside.x_0, plain.x_0)


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "make",
    [
        ClassifierFreeGuidance,
        lambda scale: Autoguidance(ExactDenoiser(MIXTURE, LinearPath()), scale),
        lambda scale: ClassifierGuidance(ExactClassifier(LinearPath()), scale),
    ],
)
def test_scales_are_finite(make, scale):
    with pytest.raises(UserError, match=f"scale: got {scale}, expected a finite number"):
        make(scale)


def test_autoguidance_extrapolates_from_the_weaker_model():
    path = CosinePath()
    strong, weak = ExactDenoiser(MIXTURE, path), ExactDenoiser(EightGaussians(), path)
    x_t, t = asked(path)
    a, b = strong(x_t, t), weak(x_t, t)
    for scale, expected in ((0.0, b), (1.0, a)):
        torch.testing.assert_close(Autoguidance(weak, scale)(strong)(x_t, t).x_0, expected.x_0)
    torch.testing.assert_close(Autoguidance(weak, 3.0)(strong)(x_t, t).eps, 3 * a.eps - 2 * b.eps)


def test_an_interval_limits_guidance_sample_by_sample():
    path = LinearPath()
    exact, (x_t, t) = ExactDenoiser(MIXTURE, path), asked(path)
    limited = IntervalGuidance(ClassifierFreeGuidance(3.0), 0.3, 2.0)(exact)(x_t, t, LABELS)
    inside = (path.noise_level(t) > 0.3) & (path.noise_level(t) <= 2.0)
    assert 0 < inside.sum() < 15
    guided, plain = ClassifierFreeGuidance(3.0)(exact)(x_t, t, LABELS), exact(x_t, t, LABELS)
    torch.testing.assert_close(limited.x_0[inside], guided.x_0[inside])
    torch.testing.assert_close(limited.x_0[~inside], plain.x_0[~inside])


def test_dynamic_thresholding_brings_each_sample_into_its_bounds():
    path = CosinePath()
    x_t, t = asked(path)

    class Large:
        """Estimates beyond the data's bounds in some samples."""

        def __call__(self, x_t, t, condition=None):
            x_0 = torch.linspace(-3, 3, 10, dtype=x_t.dtype).expand(15, 10).clone()
            x_0[0] /= 6
            return Estimate(x_0, x_0)

    Large.path = path
    x_t = torch.randn(15, 10, dtype=torch.float64)
    estimate = DynamicThresholding(0.9)(Large())(x_t, t)
    assert estimate.x_0.abs().max() == pytest.approx(1.0)
    torch.testing.assert_close(estimate.x_0[0], torch.linspace(-0.5, 0.5, 10, dtype=torch.float64))
    assert (estimate.x_0[1].abs() < 0.999).sum() == 8, "divided by the quantile, not clamped to 1"
    torch.testing.assert_close(path.sample(estimate.x_0, estimate.eps, t), x_t)


def test_evaluations_of_networks_are_counted_through_compositions():
    path = LinearPath()
    exact, weak = ExactDenoiser(MIXTURE, path), ExactDenoiser(EightGaussians(), path)
    assert network_evaluations(Heun(5), exact) == 9
    first = Autoguidance(weak, 2.0)(ClassifierFreeGuidance(2.0)(exact))
    last = ClassifierFreeGuidance(2.0)(Autoguidance(weak, 2.0)(exact))
    assert network_evaluations(DDIM(10), first) == 30
    assert network_evaluations(DDIM(10), last) == 40
    assert network_evaluations(DDIM(10), ClampedData(1.0)(ClassifierFreeGuidance(1.0)(exact))) == 10
    assert network_evaluations(DDIM(10), ClassifierGuidance(ExactClassifier(path))(exact)) == 20
    interval = IntervalGuidance(ClassifierFreeGuidance(2.0), 0.3, 1.6)(exact)
    assert network_evaluations(DDIM(10), interval) == 14, "t = 0.3 to 0.6"
    assert network_evaluations(DormandPrince(), exact) is None


def spec_of(name, classes):
    return DataSpec(name, {"image": ModalitySpec((1, 8, 8)), "label": ModalitySpec(num_classes=classes)})


class Known(ExactClassifier):
    """A guide of either kind that says which data it knows."""

    def __init__(self, classes):
        super().__init__(LinearPath())
        self.spec = spec_of("digits", classes)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (
            lambda: ClassifierFreeGuidance(2.0).check(Guidable(LinearPath())),
            "guidance_scale: got 2.0, expected 1",
        ),
        (
            lambda: ClassifierFreeGuidance(2.0, ["vector"]).check(Guidable(LinearPath(), ["label"])),
            "guidance_scale",
        ),
        (
            lambda: ClassifierGuidance(ExactClassifier(CosinePath())).check(Guidable(LinearPath())),
            "classifier: got .*CosinePath.* expected the path .*LinearPath.*; train both on one path",
        ),
        (
            lambda: ClassifierGuidance(ExactClassifier(EDMPath(0.01))).check(Guidable(EDMPath())),
            "classifier: got",
        ),
        (
            lambda: ClassifierGuidance(Known(10)).check(Guidable(LinearPath(), spec=spec_of("letters", 10))),
            "classifier: got 'a model of digits .* in 10 classes', expected one of letters",
        ),
        (
            lambda: ClassifierGuidance(Known(9)).check(Guidable(LinearPath(), spec=spec_of("digits", 10))),
            "classifier: got 'a model of digits .* in 9 classes', expected one of digits .* in 10 classes",
        ),
        (
            lambda: Autoguidance(Known(10)).check(Guidable(LinearPath(), spec=spec_of("letters", 10))),
            "weaker: got 'a model of digits .*, expected one of letters",
        ),
        (
            lambda: Autoguidance(ExactDenoiser(MIXTURE, EDMPath())).check(Guidable(LinearPath())),
            "weaker: got",
        ),
        (
            lambda: IntervalGuidance(Autoguidance(ExactDenoiser(MIXTURE, EDMPath()))).check(
                Guidable(LinearPath())
            ),
            "weaker: got",
        ),
        (
            lambda: IntervalGuidance(ClassifierGuidance(ExactClassifier(LinearPath()))).check(
                Guidable(LinearPath(), has_score=False)
            ),
            "guidance: got 'ClassifierGuidance', expected a model with a score.*; use classifier-free guidance",
        ),
        (
            lambda: ClassifierGuidance(ExactClassifier(LinearPath())).check(
                Guidable(LinearPath(), told=True)
            ),
            "conditional: got False, expected True over a guidance that works by the condition",
        ),
        (lambda: IntervalGuidance(ClassifierFreeGuidance(2.0), 2.0, 1.0), "low, high: got"),
        (lambda: DynamicThresholding(1.5), "quantile: got 1.5"),
        (lambda: ClampedData(0.0), "limit: got 0.0"),
        (lambda: ClassifierGuidance(ExactClassifier(LinearPath()), -1.0), "scale: got -1.0"),
    ],
)
def test_guidance_that_does_not_fit_is_refused_in_one_line(make, line):
    with pytest.raises(UserError, match=line) as error:
        make()
    assert "\n" not in str(error.value)
