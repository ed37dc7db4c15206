"""Contracts that every layer shares; imports torch (and NumPy for its counter-based generator) alone."""

from genlab.core.capabilities import (
    CanDecode,
    CanDenoise,
    CanEncode,
    CanReconstruct,
    CanSample,
    CanShowPath,
    CanTokenize,
    HasAveragedModules,
    HasLatentKL,
    HasLatentPrior,
    HasLogProb,
    HasLosses,
    HasPosterior,
    HasRate,
    HasScaledLatents,
    HasTokenLikelihood,
    LogProb,
    StartsFromData,
    TakesEncoder,
    why_no_samples,
)
from genlab.core.codebooks import Codebooks
from genlab.core.condition import Condition
from genlab.core.errors import UserError, WorkError, invalid, require, require_positive
from genlab.core.frozen import Frozen, digest_of
from genlab.core.random import RandomStreams, derive_seed, global_seed
from genlab.core.shapes import batch_size, expand_like, full_precision, mean_per_sample, sum_per_sample
from genlab.core.spec import DataSpec, ModalitySpec, require_same_data

__all__ = [
    "CanDecode",
    "CanDenoise",
    "CanEncode",
    "CanReconstruct",
    "CanSample",
    "CanShowPath",
    "CanTokenize",
    "Codebooks",
    "Condition",
    "DataSpec",
    "Frozen",
    "HasAveragedModules",
    "HasLatentKL",
    "HasLatentPrior",
    "HasLogProb",
    "HasLosses",
    "HasPosterior",
    "HasRate",
    "HasTokenLikelihood",
    "HasScaledLatents",
    "LogProb",
    "ModalitySpec",
    "RandomStreams",
    "StartsFromData",
    "TakesEncoder",
    "UserError",
    "WorkError",
    "batch_size",
    "derive_seed",
    "digest_of",
    "expand_like",
    "full_precision",
    "global_seed",
    "invalid",
    "mean_per_sample",
    "require",
    "require_positive",
    "require_same_data",
    "sum_per_sample",
    "why_no_samples",
]
