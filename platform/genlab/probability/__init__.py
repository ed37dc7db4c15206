"""Mathematics of densities: no networks, no training."""

from genlab.probability.aggregate_posterior import AggregatePosterior
from genlab.probability.bijections import (
    AffineAutoregressive,
    AffineCoupling,
    Bijection,
    Chain,
    Flip,
    Reflection,
)
from genlab.probability.checkerboard import Checkerboard
from genlab.probability.couplings import Coupling, EntropicCoupling, IndependentCoupling, OptimalCoupling
from genlab.probability.denoisers import Denoiser, Denoises, at_time
from genlab.probability.densities import Density, EightGaussians, GaussianMixture, Moons
from genlab.probability.discrete_likelihoods import Bernoulli, BetaBinomial, Categorical, DiscretisedLogistic
from genlab.probability.discretised_gaussian import log_prob_of_bins
from genlab.probability.divergences import DiagonalGaussian, LatentDistribution, gaussian_kl, sampled_kl
from genlab.probability.estimates import Estimate, combination
from genlab.probability.fokker_planck import FokkerPlanck
from genlab.probability.gaussian_likelihood import Gaussian
from genlab.probability.gaussian_path import GaussianPath
from genlab.probability.importance_time import ImportanceTime
from genlab.probability.interpolants import StochasticInterpolant
from genlab.probability.kernels import gaussian_kernel, inverse_multiquadratic, maximum_mean_discrepancy
from genlab.probability.known_kl import known_kl
from genlab.probability.laplace import Laplace
from genlab.probability.level_posteriors import (
    AbsolutePosterior,
    LevelPosterior,
    PrecisionWeightedPosterior,
    ResidualPosterior,
)
from genlab.probability.levels import Level
from genlab.probability.likelihoods import (
    DiscreteLikelihood,
    Likelihood,
    LikelihoodFactory,
    bits_per_dimension,
)
from genlab.probability.mixture_denoiser import ExactDenoiser
from genlab.probability.mixture_fitting import FittedMixture, fit_gaussian_mixture
from genlab.probability.path_sde import ForwardSDE, ReverseSDE
from genlab.probability.paths import CosinePath, LinearBetaPath, LinearPath
from genlab.probability.posteriors import Posterior, interpolated_variance, transition
from genlab.probability.preconditioning import EDMPrediction
from genlab.probability.predictions import (
    DataPrediction,
    NoisePrediction,
    Prediction,
    ScorePrediction,
    VelocityPrediction,
    VPrediction,
)
from genlab.probability.pushforward import Mixture, PushForward, RotatedGaussian, rotated_gaussian_kl
from genlab.probability.sde import SDE, GeometricBrownianMotion, OrnsteinUhlenbeck
from genlab.probability.sinkhorn import sinkhorn_divergence
from genlab.probability.times import LogitNormalTime, LogNormalTime, TimeDistribution, UniformTime
from genlab.probability.transport import (
    directions,
    gaussian_wasserstein,
    sliced_wasserstein,
    wasserstein_1d,
)
from genlab.probability.variance_exploding import EDMPath, VEPath
from genlab.probability.variance_preserving import OffsetCosinePath, SubVPPath

__all__ = [
    "Laplace",
    "Checkerboard",
    "Density",
    "EightGaussians",
    "GaussianMixture",
    "Moons",
    "CosinePath",
    "EDMPath",
    "GaussianPath",
    "LinearBetaPath",
    "LinearPath",
    "OffsetCosinePath",
    "StochasticInterpolant",
    "SubVPPath",
    "VEPath",
    "Coupling",
    "EntropicCoupling",
    "IndependentCoupling",
    "OptimalCoupling",
    "at_time",
    "combination",
    "directions",
    "gaussian_wasserstein",
    "sinkhorn_divergence",
    "sliced_wasserstein",
    "wasserstein_1d",
    "SDE",
    "FokkerPlanck",
    "ForwardSDE",
    "GeometricBrownianMotion",
    "OrnsteinUhlenbeck",
    "ReverseSDE",
    "Posterior",
    "interpolated_variance",
    "transition",
    "DataPrediction",
    "Denoiser",
    "Denoises",
    "EDMPrediction",
    "Estimate",
    "ExactDenoiser",
    "NoisePrediction",
    "Prediction",
    "ScorePrediction",
    "VelocityPrediction",
    "VPrediction",
    "LogNormalTime",
    "ImportanceTime",
    "LogitNormalTime",
    "TimeDistribution",
    "UniformTime",
    "Bernoulli",
    "BetaBinomial",
    "Categorical",
    "DiagonalGaussian",
    "DiscreteLikelihood",
    "DiscretisedLogistic",
    "Gaussian",
    "LatentDistribution",
    "Likelihood",
    "LikelihoodFactory",
    "bits_per_dimension",
    "log_prob_of_bins",
    "gaussian_kl",
    "sampled_kl",
    "known_kl",
    "AbsolutePosterior",
    "Level",
    "LevelPosterior",
    "PrecisionWeightedPosterior",
    "ResidualPosterior",
    "AggregatePosterior",
    "AffineAutoregressive",
    "AffineCoupling",
    "Bijection",
    "Chain",
    "Flip",
    "Reflection",
    "gaussian_kernel",
    "inverse_multiquadratic",
    "maximum_mean_discrepancy",
    "Mixture",
    "PushForward",
    "RotatedGaussian",
    "rotated_gaussian_kl",
    "FittedMixture",
    "fit_gaussian_mixture",
]
