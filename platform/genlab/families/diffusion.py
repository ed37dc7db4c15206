"""Diffusion and flow matching: one family, a choice of Gaussian path, prediction, objective and solver."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from genlab.core import Condition, DataSpec, LogProb, RandomStreams, UserError, require
from genlab.families.base import NetworkFactory, OptimizerFactory
from genlab.families.flow_likelihood import FlowBits
from genlab.families.outputs import build_network, check_likelihood, check_solver
from genlab.families.parts import PartFactory, held
from genlab.families.requests import Dropout
from genlab.families.schedules import Schedule
from genlab.families.solver_sampling import SolverSampling
from genlab.objectives import DenoiserObjective, Denoising
from genlab.probability import Denoiser, GaussianPath, LinearPath, Prediction, VelocityPrediction
from genlab.solvers import Guidance, Heun, Solver


class Diffusion(SolverSampling):
    """A generative model that learns to undo noise: x_t = alpha(t) x_0 + sigma(t) eps, t = 0 data, t = 1 noise.

    The network is trained by `objective` to predict a functional of (x_0, eps) from x_t, and `solver`
    walks from noise to data by its estimates. DDPM is a variance-preserving path with noise prediction,
    flow matching is the linear path with velocity prediction.

    Args:
        spec: of the data.
        network: factory of the network (x_t, t, condition) -> prediction, from the spec.
        path: alpha and sigma; None is the linear path.
        prediction: what the network predicts; None is the velocity.
        objective: the training loss; None weights the prediction's own error uniformly over t.
        solver: for sampling; None is Heun's with 20 steps.
        label_dropout: share of training samples that lose their condition, for classifier-free guidance; or the
            share that loses each kind of condition, as {"label": 0.1, "image": 0.0}.
        guidance_scale: unconditional + scale (conditional - unconditional); 1 is the conditional model.
        guidance: further maps of the denoiser that samples come from, the first one innermost. A weaker model or a
            classifier that guides is given as a `Frozen`, which the checkpoint then holds.
        clamp: bound of the data's absolute values, to which estimates of x_0 are clamped in sampling (1 for
            images), after all guidance; None for no bound. Noise prediction needs it where alpha is small.
        likelihood: how `log_prob` is found; None is by an adaptive solver.
        dequantise: add noise within each level's bin to training data that have levels: uniform noise, or learned
            noise where this is a factory of `VariationalDequantisation`, which is trained along.
        optimizer: factory of the optimiser from parameters.
        schedule: of the learning rate.

    Raises:
        UserError: a prediction that can't be inverted on the path, a solver too fine for the path, or one with noise
            in its steps where noise is coupled with the data, a share outside [0, 1], a bound that is not positive,
            `dequantise` on data without levels, guidance of a model that can't be guided so.

    Source: Ho et al. 2020; Song et al. 2021; Lipman et al. 2023; Kingma and Gao 2023.
    """

    def __init__(
        self,
        spec: DataSpec | dict[str, Any],
        network: NetworkFactory,
        path: GaussianPath | None = None,
        prediction: Prediction | None = None,
        objective: DenoiserObjective | None = None,
        solver: Solver | None = None,
        label_dropout: Dropout = 0.1,
        guidance_scale: float = 1.0,
        guidance: Sequence[Guidance] = (),
        clamp: float | None = None,
        likelihood: FlowBits | None = None,
        dequantise: bool | PartFactory = False,
        optimizer: OptimizerFactory = torch.optim.AdamW,
        schedule: Schedule | None = None,
    ):
        path, solver = path or LinearPath(), solver or Heun(num_steps=20)
        sampling = (solver, label_dropout, guidance_scale, guidance, clamp)
        super().__init__(spec, path, *sampling, optimizer, schedule)
        levels = self.spec[self.spec.data].num_levels
        require(not dequantise or levels > 0, "dequantise", True, "data with levels", "pass dequantise=False")
        self.prediction = prediction or VelocityPrediction()
        self.objective = objective or Denoising()
        self.likelihood = likelihood or FlowBits()
        if likelihood is not None:
            check_likelihood(likelihood, self.path, self.objective)
        self.dequantise = dequantise is True
        self.dequantiser = dequantise(self.spec) if callable(dequantise) else None
        self.prediction.check(self.path)
        self.objective.prepare(self.spec, self.path, self.prediction)
        paired = "noise" not in self.spec or self.objective.takes_noise
        name, expected = type(self.objective).__name__, "one that takes the noise of coupled data"
        require(paired, "objective", name, expected, "use Denoising, or other data")
        self.network = build_network(network, self.spec, self.objective)
        self.check_sampling()

    def check_solver(self, solver: Solver) -> None:
        """Refuse a solver that can't sample from this model; raises UserError."""
        check_solver(solver, self.path, self.objective, self.has_score)

    @property
    def has_score(self) -> bool:
        """Whether -eps / sigma is the score of x_t: not where noise is dealt out by a coupling, or comes with data."""
        return self.objective.has_score and "noise" not in self.spec

    @property
    def loss_ranks(self) -> bool:
        """Whether a lower loss in validation is a better model: not of consistency training."""
        return self.objective.loss_ranks

    @property
    def has_log_prob(self) -> bool:
        """Whether the probability-flow ODE is known and can be solved from end to end."""
        try:
            check_likelihood(self.likelihood, self.path, self.objective)
        except UserError:
            return False
        return True

    def averaged_modules(self) -> list[str]:
        # An objective's parameters serve training alone.
        return ["network"] if self.dequantiser is None else ["network", "dequantiser"]

    @property
    def denoiser(self) -> Denoiser:
        """The network as a map from (x_t, t, condition) to estimates of x_0 and eps."""
        return Denoiser(self.network, self.path, self.prediction)

    def loss(self, batch: dict[str, Tensor], label_dropout: Dropout = 0.0) -> dict[str, Tensor]:
        """Mean loss and named terms of a batch."""
        x_0, condition = self.data_of(batch), self.condition_of(batch)
        if self.dequantise:
            x_0 = self.spec[self.spec.data].dequantise(x_0)
        if condition is not None:
            condition = condition.drop(label_dropout)
        given = {"eps": batch["noise"]} if "noise" in batch else {}  # of coupled data
        learned: dict[str, Tensor] = {}
        if self.dequantiser is not None:
            denoiser = replace(self.denoiser, network=held(self.network))
            of_q, x_0 = self.dequantiser.loss(denoiser, x_0, condition)
            learned = {"dequantisation": of_q.float().mean() / self.spec[self.spec.data].num_values}
        loss, terms = self.objective(self.denoiser, x_0, condition, **given)
        return {"loss": loss.mean() + sum(learned.values()), **terms, **learned}

    def losses(self, phase: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """`loss` of a batch; only in the phase "train" are conditions dropped."""
        return self.loss(batch, self.label_dropout if phase == "train" else 0.0)

    def log_prob(
        self, x: Tensor, *, condition: Condition | None = None, rng: RandomStreams | None = None
    ) -> LogProb:
        """log p(x) in nats, (B,), of the model without guidance or clamping: see `FlowBits`.

        Args:
            x: data, (B, ...); centres of levels, where they have any.
            condition: of each x, or None for the unconditional model.
            rng: for dequantisation and the trace, a stream per x; without it, those of seed 0.

        Raises:
            UserError: rng or the condition are for another number of data; the ODE is not known, as of a consistency
                model, or its drift is infinite at an end of the path.
        """
        check_likelihood(self.likelihood, self.path, self.objective)
        rng = rng or RandomStreams(0, len(x))
        self.check_request(len(x), condition, rng)
        with self.evaluating():
            return self.likelihood.log_prob(
                self.denoiser, x, self.spec[self.spec.data], condition, rng.to(x.device), self.dequantiser
            )
