"""Scores of a trained model, each with its protocol, beside the floor and the trivial baselines."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from genlab.core import UserError
from genlab.experiments.evaluation_baselines import baseline_scores, floor_scores
from genlab.experiments.evaluation_codes import chosen_codes, code_scores
from genlab.experiments.evaluation_likelihood import histogram_scores, likelihood_scores
from genlab.experiments.evaluation_plan import (
    LIKELIHOOD,
    RATE,
    Request,
    can_reconstruct,
    can_sample,
    can_score,
    check_family,
    choose_counts,
    choose_metrics,
    has_code,
    has_factors,
    lacking_reconstruction,
)
from genlab.experiments.evaluation_rate import rate_scores
from genlab.experiments.evaluation_reconstruction import reconstruction_scores
from genlab.experiments.evaluation_sides import Progress, folder_data, folder_set, generate, silent, split_set
from genlab.experiments.loading import Loaded, build_data
from genlab.experiments.provenance import git_commit
from genlab.experiments.run_dir import write_atomic
from genlab.experiments.world import ALONE, World
from genlab.metrics.disentanglement import DISENTANGLEMENT
from genlab.metrics.draws import spreads
from genlab.metrics.per_class import frechet_per_class
from genlab.metrics.reconstruction import RECONSTRUCTION, RECONSTRUCTION_SCORES
from genlab.metrics.reference import default_extractor, gather_data
from genlab.metrics.sample_set import SampleSet
from genlab.metrics.scene import NEAREST_TRAIN, Scene
from genlab.metrics.scores import METRICS, compute

FLOOR_SPLIT = {"test": "val", "val": "test", "train": "val"}
MOST_CLASSES = 100  # for scores class by class
RATIOS = ("fid", "swd")  # distances that are also given in units of the floor's

Results = dict[str, Any]


def evaluate(loaded: Loaded, request: Request, progress: Progress = silent, world: World = ALONE) -> Results:
    """All scores of a model: {"protocol", "scores", "baselines", "per_class", "skipped"}.

    Args:
        loaded: the model, on the device where it shall work.
        request: what to score, and how.
        progress: told of what is going on.
        world: the processes that share the work; the first one's results are whole.

    Raises:
        UserError: the family or the data can't give a metric that was asked for.
    """
    check_family(loaded, request)
    wants_likelihood = can_score(loaded) and request.wants([LIKELIHOOD])
    wants_codes = has_factors(loaded) and request.wants(DISENTANGLEMENT)
    wants_rate = has_code(loaded) and request.wants([RATE])
    wants_samples = can_sample(loaded) and request.wants(METRICS)
    wants_pairs = can_reconstruct(loaded) and request.wants(RECONSTRUCTION_SCORES)
    if request.reference is not None and (wants_likelihood or wants_codes or wants_rate or wants_pairs):
        if others := [name for name in request.metrics or [] if name not in METRICS]:
            name = others[0]
            raise UserError(
                f"metrics: got {name!r} with --reference, expected metrics of samples; leave {name} out"
            )
        wants_likelihood = wants_codes = wants_rate = wants_pairs = False
    results: Results = {"protocol": {}, "scores": {}, "baselines": {}, "per_class": {}, "skipped": {}}
    data = folder_data(request.reference, loaded) if request.reference else build_data(loaded.config)
    results["protocol"] = protocol(loaded, request, data)
    if wants_samples:
        score_samples(loaded, request, data, results, progress, world)
    if wants_likelihood:
        settings = (request.split, request.num)
        found = likelihood_scores(loaded, data, *settings, request.seed, request.batch_size, progress, world)
        results["scores"] |= found
        if request.baselines and (histogram := histogram_scores(data, *settings)):
            results["baselines"]["histogram per pixel"] = histogram
    if wants_pairs:
        scores, baselines = reconstruction_scores(loaded, request, data, progress, world)
        results["scores"] |= scores
        add_columns(results, baselines)
        if request.metrics is None:
            lacking = lacking_reconstruction(loaded)
            results["skipped"] |= {name: lacking[name] for name in RECONSTRUCTION if lacking[name]}
    if wants_rate:
        scores, baselines = rate_scores(loaded, request, data, progress, world)
        results["scores"] |= scores
        add_columns(results, baselines)
    if wants_codes:
        scores, baselines = code_scores(loaded, request, data, progress, world)
        results["skipped"] |= chosen_codes(loaded, request)[1]
        results["scores"] |= scores
        add_columns(results, baselines)
    elif "factors" in loaded.spec and request.metrics is None:
        results["skipped"][", ".join(DISENTANGLEMENT)] = "needs an encoder, and the data's own splits"
    return results


def score_samples(
    loaded: Loaded, request: Request, data: Any, results: Results, progress: Progress, world: World = ALONE
) -> None:
    """Fill in the scores of samples."""
    device = next(loaded.model.parameters()).device
    extractor = request.extractor or default_extractor(loaded.spec)
    floor_split, held_out, train = FLOOR_SPLIT[request.split], None, None
    if request.reference:
        everything = folder_set(data, extractor, device)
        count, draws = choose_counts(request, len(everything), None)
        half = len(everything) // 2
        held_out, floor_real = everything[:half], everything[half : 2 * half]
        floor_title = "floor (half of the folder against half)"
        real, key = everything[:count], {}
    else:
        sizes = data.num_samples(request.split), data.num_samples(floor_split)
        count, draws = choose_counts(request, *sizes)
        real = split_set(data, request.split, count, extractor, device)
        key = {"data": data.spec.name, "hash": data.fingerprint(request.split), "split": request.split}
        key["train"] = data.fingerprint("train")
        train = gather_data(data.batches("train", num=NEAREST_TRAIN), data.spec.data)
        floor_title = f"floor ({floor_split} against {request.split})"
    # The data's own spec may lack labels (a folder's); the model's has the shape and the levels.
    scene = Scene(loaded.spec, real, train, request.seed)
    names, results["skipped"] = choose_metrics(loaded, request, scene)
    results["protocol"] |= {"num_samples": count, "num_draws": draws, "extractor": extractor.identity()}

    sizes = {"seed": request.seed, "batch_size": request.batch_size}
    generated = generate(loaded, real, draws, extractor, **sizes, progress=progress, world=world)
    if generated is None:
        return
    rows = []
    with progress("scoring", draws) as advance:
        for draw in generated.draws(count):
            rows.append(compute(names, draw, scene))
            advance(1)
    owner = {score: metric for metric in METRICS.values() for score in metric.better}
    for name, spread in spreads(rows).items():
        results["scores"][name] = {**asdict(spread), "protocol": owner[name].protocol(count, scene)}
    if request.baselines:
        baselines = results["baselines"]
        if held_out is None:
            held_out, floor_real = split_set(data, floor_split, count, extractor, device), real
        floor_scene = replace(scene, real=floor_real)
        baselines[floor_title] = floor_scores(held_out, floor_scene, names)
        if train is not None:
            baselines |= baseline_scores(scene, names, draws, extractor, key, device, progress)
        if len(held_out) >= count and not request.reference:
            add_ratios(results, floor_title)
    if "fid" in names and generated.labels is not None and scene.spec.num_classes <= MOST_CLASSES:
        results["per_class"]["fid"] = mean_per_class(generated, real, draws, scene.spec.num_classes)
        if held_out is not None and held_out.labels is not None:
            floor = frechet_per_class(held_out[: len(real)], real, scene.spec.num_classes)
            results["per_class"][f"fid, {floor_title}"] = floor


def add_columns(results: Results, baselines: dict[str, dict[str, Any]]) -> None:
    """Baselines' further scores, in their columns."""
    for title, scores in baselines.items():
        results["baselines"].setdefault(title, {}).update(scores)


def add_ratios(results: Results, floor_title: str) -> None:
    """`fid_ratio` and `swd_ratio`: every such score over the floor's, where both are at the same counts."""
    columns = (results["scores"], *results["baselines"].values())
    for name in RATIOS:
        floor = results["baselines"][floor_title].get(name, {}).get("value")
        for scores in columns if floor else ():
            if name in scores:
                items = list(scores.items())
                position = list(scores).index(name) + 1
                scores.clear()
                ratio = over(dict(items)[name], floor)
                scores |= dict([*items[:position], (f"{name}_ratio", ratio), *items[position:]])


def over(score: dict[str, Any], floor: float) -> dict[str, Any]:
    """A score in units of the floor's."""
    std = None if score["std"] is None else score["std"] / floor
    return {"value": score["value"] / floor, "std": std, "protocol": {**score["protocol"], "floor": floor}}


def mean_per_class(generated: SampleSet, real: SampleSet, draws: int, classes: int) -> dict[str, float]:
    """FID per class, averaged over the draws."""
    rows = [frechet_per_class(draw, real, classes) for draw in generated.draws(len(real))]
    return {name: spread.value for name, spread in spreads(rows[:draws]).items()}


def protocol(loaded: Loaded, request: Request, data: Any) -> dict[str, Any]:
    """What all scores of an evaluation have in common."""
    from genlab import __version__

    sampler = dict(loaded.model.sampling_protocol()) if can_sample(loaded) else None
    return {
        "dataset": data.spec.name,
        "split": "all images of a folder" if request.reference else request.split,
        "weights": loaded.weights,
        "sampler": sampler,
        "seed": request.seed,
        "genlab_version": __version__,
        "git_commit": git_commit(),
        "checkpoint": "/".join(loaded.path.parts[-4:]),  # <experiment>/<run id>/checkpoints/<name>
        "step": loaded.step,
        "family": type(loaded.model).__name__,
        **({"changed": dict(loaded.changes)} if loaded.changes else {}),
    }


def write_results(results: Results, path: Path) -> None:
    """Replace `path` by these results at once.

    Raises:
        UserError: it can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(results, indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"out: got {str(path)!r}, expected a file that can be written ({error.strerror}); pass --out FILE.json"
        ) from error
