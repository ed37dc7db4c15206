"""Scores of generated data: plain functions of tensors, and the metrics by name."""

from genlab.metrics.baselines import ClasswiseGaussian
from genlab.metrics.classes import class_histogram, histogram_distance, label_agreement
from genlab.metrics.codebook import code_counts, code_use, codebook_perplexity, codebook_usage
from genlab.metrics.digits_classifier import DigitsClassifier, load_digits_classifier
from genlab.metrics.digits_features import DigitsFeatures
from genlab.metrics.disentanglement import (
    DCI,
    DISENTANGLEMENT,
    BetaVAEScore,
    FactorVAEScore,
    Modularity,
    MutualInformationGap,
    SeparatedAttributePredictability,
)
from genlab.metrics.extractors import Extractor, ModuleFeatures, Pixels
from genlab.metrics.inception import Inception
from genlab.metrics.inception_score import inception_score
from genlab.metrics.judge import DigitsJudge
from genlab.metrics.kernel_distance import kernel_distance, polynomial_mmd
from genlab.metrics.likelihood import BitsPerDimension, bits_per_dimension_of
from genlab.metrics.manifold import precision_recall_density_coverage
from genlab.metrics.memorisation import memorisation
from genlab.metrics.pca_kmeans import PCAKMeans
from genlab.metrics.sample_set import SampleSet, describe
from genlab.metrics.scene import Scene
from genlab.metrics.scores import METRICS, Metric
from genlab.metrics.statistics import FeatureStatistics, frechet_from_features
from genlab.metrics.transport import sinkhorn_distance, sliced_distance
from genlab.metrics.two_sample import two_sample_accuracy

__all__ = [
    "DCI",
    "DISENTANGLEMENT",
    "METRICS",
    "BetaVAEScore",
    "BitsPerDimension",
    "ClasswiseGaussian",
    "DigitsClassifier",
    "DigitsFeatures",
    "DigitsJudge",
    "Extractor",
    "FactorVAEScore",
    "FeatureStatistics",
    "Inception",
    "Metric",
    "PCAKMeans",
    "Modularity",
    "ModuleFeatures",
    "MutualInformationGap",
    "Pixels",
    "SampleSet",
    "Scene",
    "SeparatedAttributePredictability",
    "bits_per_dimension_of",
    "class_histogram",
    "describe",
    "frechet_from_features",
    "histogram_distance",
    "inception_score",
    "kernel_distance",
    "label_agreement",
    "load_digits_classifier",
    "memorisation",
    "codebook_perplexity",
    "polynomial_mmd",
    "precision_recall_density_coverage",
    "sinkhorn_distance",
    "sliced_distance",
    "two_sample_accuracy",
    "code_counts",
    "code_use",
    "codebook_usage",
]
