"""Networks that know shapes and conditions, and nothing of training; inputs come in any floating type."""

from genlab.networks.attention import CrossAttention2d, SelfAttention2d
from genlab.networks.blocks import Downsample, ResidualBlock, Upsample, coarsest, group_norm, zero_init
from genlab.networks.causal_block import CausalBlock
from genlab.networks.class_densities import ClassDensity, ClassDensityFactory, FlowDensity, MixtureDensity
from genlab.networks.conditional_norm import ConditionalNorm
from genlab.networks.conditions import (
    Conditional,
    TokenEmbedding,
    condition_embedding,
    kinds_taken,
    with_image,
)
from genlab.networks.convolutional import ConvDecoder, ConvEncoder
from genlab.networks.dcgan import DCGANCritic, DCGANGenerator
from genlab.networks.dense import DenseDecoder, DenseEncoder
from genlab.networks.dit import DiT
from genlab.networks.dit_block import DiTBlock
from genlab.networks.edm2 import EDM2UNet
from genlab.networks.edm2_block import MPBlock
from genlab.networks.embeddings import ConditionEmbedding, TimeEmbedding, VectorEmbedding
from genlab.networks.feature_maps import MapDecoder, MapEncoder
from genlab.networks.gated_pixelcnn import GatedPixelCNN
from genlab.networks.key_value_cache import KeyValueCache
from genlab.networks.ladder_decoder import LadderBlock, LadderDecoder
from genlab.networks.ladder_encoder import LadderEncoder
from genlab.networks.made import MADE, MaskedLinear
from genlab.networks.magnitude import MPFourier, MPLayer, mp_cat, mp_silu, mp_sum, unit_magnitude
from genlab.networks.mlp import MLP
from genlab.networks.noisy_encoder import NoisyEncoder
from genlab.networks.patch_critic import PatchCritic
from genlab.networks.perceptron import LatentCritic, perceptron
from genlab.networks.posteriors import (
    DiagonalPosterior,
    HouseholderPosterior,
    IAFPosterior,
    Posterior,
    PosteriorFactory,
)
from genlab.networks.priors import FlowPrior, Prior, PriorFactory, StandardPrior, VampPrior
from genlab.networks.quantisers import (
    FiniteScalar,
    HierarchicalQuantiser,
    LookupFree,
    MapQuantiser,
    Quantised,
    Quantiser,
    ResidualQuantiser,
    VectorQuantiser,
)
from genlab.networks.sngan import SNGANCritic, SNGANGenerator
from genlab.networks.spectral_norm import SpectralNorm, spectral_norm
from genlab.networks.strided import StridedDecoder, StridedEncoder
from genlab.networks.token_network import TokenNetwork, token_grid
from genlab.networks.token_transformer import TokenTransformer
from genlab.networks.unet import UNet

__all__ = [
    "DiT",
    "DiTBlock",
    "EDM2UNet",
    "MPBlock",
    "MPFourier",
    "MPLayer",
    "mp_cat",
    "mp_silu",
    "mp_sum",
    "unit_magnitude",
    "Conditional",
    "CrossAttention2d",
    "TokenEmbedding",
    "VectorEmbedding",
    "condition_embedding",
    "kinds_taken",
    "with_image",
    "MLP",
    "NoisyEncoder",
    "ConditionEmbedding",
    "Downsample",
    "ResidualBlock",
    "SelfAttention2d",
    "TimeEmbedding",
    "UNet",
    "Upsample",
    "coarsest",
    "group_norm",
    "zero_init",
    "ConvDecoder",
    "ConvEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "LadderBlock",
    "LadderDecoder",
    "LadderEncoder",
    "ConditionalNorm",
    "DCGANCritic",
    "DCGANGenerator",
    "SNGANCritic",
    "SNGANGenerator",
    "SpectralNorm",
    "spectral_norm",
    "CausalBlock",
    "FiniteScalar",
    "HierarchicalQuantiser",
    "MapDecoder",
    "MapEncoder",
    "MapQuantiser",
    "PatchCritic",
    "GatedPixelCNN",
    "KeyValueCache",
    "LookupFree",
    "Quantised",
    "Quantiser",
    "ResidualQuantiser",
    "TokenNetwork",
    "TokenTransformer",
    "VectorQuantiser",
    "token_grid",
    "MADE",
    "MaskedLinear",
    "LatentCritic",
    "perceptron",
    "DiagonalPosterior",
    "HouseholderPosterior",
    "IAFPosterior",
    "Posterior",
    "PosteriorFactory",
    "FlowPrior",
    "Prior",
    "PriorFactory",
    "StandardPrior",
    "StridedDecoder",
    "StridedEncoder",
    "VampPrior",
    "ClassDensity",
    "ClassDensityFactory",
    "FlowDensity",
    "MixtureDensity",
]
