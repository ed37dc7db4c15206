"""Guidance by the gradient of a classifier of noisy data."""

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from genlab.core import Condition, Frozen, expand_like, require, require_finite, require_same_data
from genlab.probability import Denoises, Estimate, GaussianPath
from genlab.solvers.guidable import Guidable
from genlab.solvers.guidance import Guidance, evaluations


class NoisyClassifier(Protocol):
    """Knows the classes of x_t at any t of a path; differentiable in x_t."""

    path: GaussianPath

    def log_prob_of(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """log p(condition | x_t, t) in nats, (B,)."""
        ...


class ClassifierGuidance(Guidance):
    """score + scale grad log p(y | x_t): eps - scale sigma grad, x_0 + scale (sigma^2 / alpha) grad.

    With an unconditional denoiser and scale = 1 this samples from p(x | y) by Bayes' rule; more sharpens p(y | x).
    In the terms of classifier-free guidance, the implied classifier p(x_t | y) / p(x_t) has the same scale. Where
    alpha is 0, x_t holds nothing of y and is not guided; nor is a sample that lost its label.

    Args:
        classifier: with the path on which it was trained; in a config, a `Frozen` that names its run.
        scale: of the gradient, the paper's s.
        conditional: whether the denoiser, too, is given the class; it must be where the denoiser is under guidance
            by the condition itself, classifier-free for example.

    Raises:
        UserError: a negative scale, a `Frozen` of what is no classifier; from `check`, a classifier of other data or
            on another path, a model that has no score to add to, or `conditional` off over a guidance that needs it.

    Source: Dhariwal and Nichol 2021, algorithm 2 and eq. 14.
    """

    conditions = ("label",)

    def __init__(self, classifier: Frozen | NoisyClassifier, scale: float = 1.0, conditional: bool = False):
        require_finite(scale=scale)
        require(scale >= 0, "scale", scale, "0 or more", "1 is Bayes' rule")
        self.guides = (classifier,) if isinstance(classifier, Frozen) else ()
        model = classifier.model if isinstance(classifier, Frozen) else classifier
        name, remedy = type(model).__name__, "pass a run of NoisyClassifier"
        able = hasattr(model, "log_prob_of")
        require(able, "classifier", name, "a classifier of noisy data", remedy)
        self.classifier, self.scale, self.conditional = model, scale, conditional

    @property
    def needs_condition(self) -> bool:
        return self.scale != 0

    def estimate(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        estimate = self.unguided(denoiser, x_t, t, condition)
        if condition is None or condition.label is None or self.scale == 0:
            return estimate
        gradient = self.scale * self.gradient(x_t, t, condition)
        alpha, sigma = (expand_like(k, x_t) for k in (denoiser.path.alpha(t), denoiser.path.sigma(t)))
        guided = (alpha > 0) & expand_like(condition.kept("label"), x_t)
        gradient = torch.where(guided, gradient, torch.zeros_like(gradient))
        x_0 = estimate.x_0 + sigma**2 / alpha.clamp(min=1e-12) * gradient
        return replace(estimate, x_0=x_0, eps=estimate.eps - sigma * gradient)

    def unguided(self, denoiser: Denoises, x_t: Tensor, t: Tensor, condition: Condition | None) -> Estimate:
        if not self.conditional and condition is not None and condition.label is not None:
            condition = condition.null("label")
        return denoiser(x_t, t, condition)

    def gradient(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """grad log p(y | x_t) with respect to x_t, (B, ...), also where gradients are off."""
        with torch.inference_mode(False), torch.enable_grad():
            x = x_t.detach().clone().requires_grad_()
            total = self.classifier.log_prob_of(x, t.clone(), condition.clone()).sum()
            return torch.autograd.grad(total, x)[0]

    def evaluations(self, denoiser: Denoises, t: float) -> int:
        return evaluations(denoiser, t) + (1 if self.scale else 0)

    def check(self, model: Guidable) -> None:
        if model.spec is not None and hasattr(self.classifier, "spec"):
            require_same_data("classifier", self.classifier.spec, model.spec, classes=True)
        model.require_path("classifier", self.classifier.path)
        model.require_score(self)
        expected = "True over a guidance that works by the condition, which would do nothing without"
        remedy = "set conditional to true, or guidance_scale to 1"
        require(self.conditional or not model.told, "conditional", False, expected, remedy)

    def protocol(self) -> dict[str, object]:
        digests = {"classifier": self.guides[0].digest} if self.guides else {}
        settings = {"scale": self.scale, "conditional": self.conditional}
        return {"guidance": "classifier", **settings, **digests}
