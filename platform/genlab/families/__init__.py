"""Families of models, each one LightningModule."""

from genlab.families.autoencoder import Autoencoder
from genlab.families.autoregressive import Autoregressive
from genlab.families.cascade import Cascade
from genlab.families.density_estimator import DensityEstimator
from genlab.families.diffusion import Diffusion
from genlab.families.factor_vae import FactorVAE
from genlab.families.gan import GAN
<<<<<<< HEAD
from genlab.families.latent_density import LatentDensity
=======
from genlab.families.hierarchical_vae import HierarchicalVAE
>>>>>>> hvae
from genlab.families.latent_diffusion import LatentDiffusion
from genlab.families.noisy_classifier import NoisyClassifier
from genlab.families.schedules import Constant, Cosine, InverseSquareRoot
from genlab.families.token_prior import TokenPrior
from genlab.families.vae import VAE
from genlab.families.vaegan import VAEGAN

__all__ = [
    "Autoencoder",
    "Autoregressive",
    "DensityEstimator",
    "LatentDensity",
    "Cascade",
    "LatentDiffusion",
    "Constant",
    "Cosine",
    "Diffusion",
    "InverseSquareRoot",
    "NoisyClassifier",
    "TokenPrior",
    "VAE",
    "VAEGAN",
    "FactorVAE",
    "GAN",
    "HierarchicalVAE",
]
