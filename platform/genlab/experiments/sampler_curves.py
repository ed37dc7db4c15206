"""Quality of one model's samples over solvers and their budgets, and over the scale of guidance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from genlab.core import RandomStreams, require
from genlab.experiments.evaluation import FLOOR_SPLIT, Results, protocol
from genlab.experiments.evaluation_baselines import floor_scores
from genlab.experiments.evaluation_plan import Request, check_family, choose_counts, choose_metrics
from genlab.experiments.evaluation_sides import Progress, generate, silent, split_set
from genlab.experiments.loading import Loaded, build_data
from genlab.experiments.sampling_part import Stopwatch, sampling_part, setting
from genlab.metrics.draws import spreads
from genlab.metrics.extractors import Extractor
from genlab.metrics.reference import default_extractor, gather_data
from genlab.metrics.sample_set import SampleSet
from genlab.metrics.scene import NEAREST_TRAIN, Scene
from genlab.metrics.scores import METRICS, compute
from genlab.solvers import (
    Autoguidance,
    ClassifierFreeGuidance,
    ClassifierGuidance,
    IntervalGuidance,
    solver_of,
)

USUAL = ("fid", "c2st", "agreement", "judge", "swd")  # those of them that the model and the data allow
DRAWS = 5  # where a whole evaluation would have more


def solver_curve(
    loaded: Loaded,
    request: Request,
    solvers: Sequence[str],
    budgets: Sequence[int],
    progress: Progress = silent,
) -> Results:
    """Scores of each solver at each budget: {"protocol", "floor", "points"}.

    A point holds solver, budget, nfe (network evaluations per sample, which guidance multiplies), seconds per 1,000
    samples, the sampler's protocol, and scores with theirs. All points have the same noise and reference.

    Args:
        loaded: a model that has a solver.
        request: metrics, counts and reference.
        solvers: names of `genlab.solvers.solver_factories`.
        budgets: most network evaluations per sample.
        progress: told of what is going on.

    Raises:
        UserError: a family without a solver, an unknown solver, a budget below what its first step costs.
    """
    part = sampling_part(loaded)
    plan = [(n, b, solver_of(n, b, part.guided(), part.solver.grid)) for n in solvers for b in budgets]
    for _, _, solver in plan:
        part.check_solver(solver)
    bench, points = Bench.of(loaded, request), []
    for name, budget, solver in plan:
        with setting(part, solver=solver):
            points.append({"solver": name, "budget": budget, **bench.point(f"{name} {budget}", progress)})
    return bench.results(points)


def guidance_curve(
    loaded: Loaded, request: Request, scales: Sequence[float], progress: Progress = silent
) -> Results:
    """Scores at each scale of the model's guidance: by a classifier, else by a weaker model, else classifier-free.

    Raises:
        UserError: a family without guidance, or a model that can't be guided.
    """
    part, expected = sampling_part(loaded), "non-negative numbers"
    require(min(scales) >= 0, "guidance_scales", list(scales), expected, "1 is without guidance")
    title, owner, name = swept(part)
    for scale in scales:
        with setting(owner, **{name: scale}):
            part.guided()
    bench, points = Bench.of(loaded, request), []
    for scale in scales:
        with setting(owner, **{name: scale}):
            points.append({"scale": scale, **bench.point(f"scale {scale:g}", progress)})
    results = bench.results(points)
    # The scale that a command gave its guide is none of the curve's.
    results["protocol"].get("changed", {}).pop(f"{title}_scale", None)
    return {**results, "guidance": title}


def swept(part: nn.Module) -> tuple[str, Any, str]:
    """The guidance that a curve is over, whose scale it is, and what that is called there.

    Of several classifiers, or weaker models, it is the last one, which is the command's own where it has one.
    """
    inner = (g.guidance if isinstance(g, IntervalGuidance) else g for g in part.guidance)
    last = {type(guidance): guidance for guidance in inner}
    kinds = {
        "classifier": ClassifierGuidance,
        "weaker": Autoguidance,
        "classifier-free": ClassifierFreeGuidance,
    }
    for title, kind in kinds.items():
        if kind in last:
            return title, last[kind], "scale"
    return "classifier-free", part, "guidance_scale"


@dataclass
class Bench:
    """One model, one reference, and what is measured of samples."""

    loaded: Loaded
    request: Request
    extractor: Extractor
    scene: Scene
    names: list[str]
    draws: int
    common: dict[str, Any]
    floor: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: Loaded, request: Request) -> "Bench":
        """Reference data and metrics; the default ones are those of USUAL that can be had."""
        check_family(loaded, request)
        data, split = build_data(loaded.config), request.split
        device = next(loaded.model.parameters()).device
        extractor = request.extractor or default_extractor(loaded.spec)
        sizes = data.num_samples(split), data.num_samples(FLOOR_SPLIT[split])
        count, draws = choose_counts(request, *sizes)
        real = split_set(data, split, count, extractor, device)
        train = gather_data(data.batches("train", num=NEAREST_TRAIN), data.spec.data)
        scene = Scene(loaded.spec, real, train, request.seed)
        names, _ = choose_metrics(loaded, request, scene)
        if request.metrics is None:
            names = [name for name in names if name in USUAL]
        draws = draws if request.draws else min(draws, DRAWS)
        common = protocol(loaded, request, data)
        common |= {"num_samples": count, "num_draws": draws, "extractor": extractor.identity()}
        common["device"] = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        held_out = split_set(data, FLOOR_SPLIT[split], count, extractor, device)
        floor = floor_scores(held_out, replace(scene, real=real), names)
        bench = cls(loaded, request, extractor, scene, names, draws, common, floor)
        with torch.inference_mode():  # the first call allocates and compiles
            loaded.model.sample(2, rng=RandomStreams(request.seed, 2, device))
        return bench

    def point(self, title: str, progress: Progress) -> dict[str, Any]:
        """Samples of the model as it is set, timed and scored."""
        watch = Stopwatch(self.loaded.model)
        sizes = {"seed": self.request.seed, "batch_size": self.request.batch_size}
        real = self.scene.real
        show = lambda what, total: progress(f"{what} {title}", total)  # noqa: E731
        drawn: SampleSet = generate(
            self.loaded, real, self.draws, self.extractor, **sizes, progress=show, sample=watch
        )
        count = len(real)
        found = spreads([compute(self.names, draw, self.scene) for draw in drawn.draws(count)])
        owner = {score: metric for metric in METRICS.values() for score in metric.better}
        scores = {
            name: {**asdict(spread), "protocol": owner[name].protocol(count, self.scene)}
            for name, spread in found.items()
        }
        sampler = dict(self.loaded.model.sampling_protocol())
        seconds = 1000 * watch.seconds / len(drawn)
        return {"nfe": sampler["nfe"], "seconds": seconds, "sampler": sampler, "scores": scores}

    def results(self, points: list[dict[str, Any]]) -> Results:
        """The points beside what they have in common."""
        common = {name: value for name, value in self.common.items() if name != "sampler"}
        return {"protocol": common, "floor": self.floor, "points": points}
