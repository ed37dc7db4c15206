"""Families of models, each one LightningModule."""

from genlab.families.autoencoder import Autoencoder
from genlab.families.autoregressive import Autoregressive
from genlab.families.cascade import Cascade
from genlab.families.coarse_to_fine import CoarseToFine
from genlab.families.density_estimator import DensityEstimator
from genlab.families.diffusion import Diffusion
from genlab.families.factor_vae import FactorVAE
from genlab.families.gan import GAN
from genlab.families.hierarchical_vae import HierarchicalVAE
from genlab.families.latent_density import LatentDensity
from genlab.families.latent_diffusion import LatentDiffusion
from genlab.families.noisy_classifier import NoisyClassifier
from genlab.families.schedules import Constant, Cosine, InverseSquareRoot
from genlab.families.token_prior import TokenPrior
from genlab.families.vae import VAE
from genlab.families.vaegan import VAEGAN
from genlab.families.vqgan import VQGAN
from genlab.families.vqvae import VQVAE

__all__ = [
    "Autoencoder",
    "Autoregressive",
    "Cascade",
    "CoarseToFine",
    "Constant",
    "Cosine",
    "DensityEstimator",
    "Diffusion",
    "FactorVAE",
    "GAN",
    "HierarchicalVAE",
    "InverseSquareRoot",
    "LatentDensity",
    "LatentDiffusion",
    "NoisyClassifier",
    "TokenPrior",
    "VAE",
    "VAEGAN",
    "VQGAN",
    "VQVAE",
]
