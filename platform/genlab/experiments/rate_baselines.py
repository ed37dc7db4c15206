"""What other codes of the data cost and lose: their mean's, and that of PCA and k-means."""

import math
from typing import Any

import torch
from torch import Tensor

from genlab.experiments.evaluation_plan import Request
from genlab.metrics import PCAKMeans
from genlab.metrics.pca_kmeans import most_bits
from genlab.metrics.reference import gather_data

MOST_TRAIN = 50_000  # training data whose mean is the baseline
MOST_FITTED, MOST_VALUES = 2000, 1024  # training data, and values of each, of PCA and k-means: seconds
SIZE = 4  # components that k-means sees together; of 48 bits for digits, the best of 1, 2, 3, 4 and 8

Rows = dict[str, dict[str, Any]]


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """Per datum, the mean over its values: (B, ...) -> (B,) float64."""
    return (x.double() - y.double()).square().flatten(1).mean(1)


def mean_code(data: Any, name: str, request: Request, count: int) -> Rows:
    """The code that says nothing: every datum is read as the training data's mean."""
    total, num = torch.zeros(()), 0
    for batch in data.batches("train", num=MOST_TRAIN):
        total, num = total + batch[name].double().sum(0), num + len(batch[name])
    held_out = data.batches(request.split, batch_size=request.batch_size, num=count)
    errors = torch.cat([squared_error(batch[name], total / num) for batch in held_out])
    return entries(torch.stack([torch.zeros_like(errors), errors], 1), "none")


def vector_code(data: Any, name: str, request: Request, count: int, bits: int) -> dict[str, Rows]:
    """PCA and k-means in so many bits, fitted to training data; {} for none, or data that are too large for it."""
    train, _ = gather_data(data.batches("train", num=MOST_FITTED), name)
    if not 0 < bits <= most_bits(train, SIZE) or train[0].numel() > MOST_VALUES:
        return {}
    model, values = PCAKMeans(train, bits, SIZE), []
    for batch in data.batches(request.split, batch_size=request.batch_size, num=count):
        error = squared_error(batch[name], model.reconstruct(batch[name]))
        values.append(torch.stack([torch.full_like(error, bits), error], 1))
    words = f"PCA and k-means, {SIZE} components at a time, fitted to {len(train)} training data"
    return {f"PCA and k-means, {bits} bits": entries(torch.cat(values), words)}


def entries(values: Tensor, words: str) -> Rows:
    """As results.json has them: of bits and errors per datum, (N, 2)."""
    rows: Rows = {}
    for name, column in zip(("rate_bits", "distortion_mse"), values.unbind(1), strict=True):
        error = float(column.std(correction=0)) / math.sqrt(len(column))
        about = {"code": words, "num_samples": len(column), "num_draws": 1, "extractor": None}
        rows[name] = {
            "value": float(column.mean()),
            "std": None,
            "protocol": {**about, "standard_error": error},
        }
    return rows
