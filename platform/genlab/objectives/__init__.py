"""What models are trained by: callables from model parts and a batch to a loss and its named terms."""

from genlab.objectives.adversarial import (
    AdversarialLoss,
    AdversarialObjective,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
)
from genlab.objectives.augmentation import Augmentation, DiffAugment
from genlab.objectives.code_penalties import (
    CodePenalty,
    Contractive,
    KLSparsity,
    L1Sparsity,
    squared_jacobian_norm,
)
from genlab.objectives.consistency import ConsistencyDistillation, ConsistencyTraining
from genlab.objectives.corruption import Corruption, GaussianNoise, Masking, SaltAndPepper
from genlab.objectives.denoising import DenoiserObjective, Denoising
from genlab.objectives.density_ratio import DensityRatio, shuffled
from genlab.objectives.discretisation import Discretisation
from genlab.objectives.elbo import ELBO, IWAE, LatentObjective, divergence, log_mean_exp
from genlab.objectives.feature_distance import feature_distance
from genlab.objectives.gradient_penalties import (
    R1,
    R2,
    CriticRegulariser,
    GradientPenalty,
    squared_gradient_norm,
)
from genlab.objectives.ladder_elbo import LadderELBO, ladder_log_weight
from genlab.objectives.latent_penalties import DIP, MMD, LatentPenalty, TotalCorrelation
from genlab.objectives.learned_variance import LearnedVariance
from genlab.objectives.learned_weighting import LearnedUncertainty
from genlab.objectives.next_token import NextToken, next_token_nats
from genlab.objectives.perceptual import LPIPS
from genlab.objectives.quantisation import Perceptual, QuantisedReconstruction, adaptive_weight
from genlab.objectives.reconstruction import Reconstruction
from genlab.objectives.score_matching import ImplicitScoreMatching, ScoreMatching, SlicedScoreMatching
from genlab.objectives.weightings import EDM, P2, MinSNR, NoiseSpace, OwnSpace, Weighting

__all__ = [
    "LPIPS",
    "Perceptual",
    "QuantisedReconstruction",
    "adaptive_weight",
    "ConsistencyDistillation",
    "ConsistencyTraining",
    "Denoising",
    "DenoiserObjective",
    "Discretisation",
    "EDM",
    "ImplicitScoreMatching",
    "LearnedUncertainty",
    "LearnedVariance",
    "MinSNR",
    "NextToken",
    "NoiseSpace",
    "OwnSpace",
    "P2",
    "ScoreMatching",
    "SlicedScoreMatching",
    "Weighting",
    "ELBO",
    "IWAE",
    "LadderELBO",
    "LatentObjective",
    "divergence",
    "feature_distance",
    "ladder_log_weight",
    "log_mean_exp",
    "next_token_nats",
    "DIP",
    "MMD",
    "DensityRatio",
    "LatentPenalty",
    "TotalCorrelation",
    "shuffled",
    "AdversarialLoss",
    "AdversarialObjective",
    "Augmentation",
    "CriticRegulariser",
    "DiffAugment",
    "GradientPenalty",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "R1",
    "R2",
    "Wasserstein",
    "squared_gradient_norm",
    "CodePenalty",
    "Contractive",
    "Corruption",
    "GaussianNoise",
    "KLSparsity",
    "L1Sparsity",
    "Masking",
    "Reconstruction",
    "SaltAndPepper",
    "squared_jacobian_norm",
]
