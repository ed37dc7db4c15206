"""Solvers turn a denoiser into samples; guidance turns a denoiser into another."""

from genlab.solvers.adaptive import DormandPrince
from genlab.solvers.ancestral import DDIM, Ancestral
from genlab.solvers.autoguidance import Autoguidance
from genlab.solvers.autoregressive import AutoregressiveDecoding
from genlab.solvers.classifier_free import ClassifierFreeGuidance
from genlab.solvers.classifier_guidance import ClassifierGuidance, NoisyClassifier
from genlab.solvers.consistency import MultistepConsistency
from genlab.solvers.data_bounds import ClampedData, DynamicThresholding
from genlab.solvers.dequantisation import UniformDequantisation, VariationalDequantisation
from genlab.solvers.dpm_solver import DPMSolverPP, DPMSolverPPSDE
from genlab.solvers.edm import EDMStochastic
from genlab.solvers.evaluations import evaluation_times, is_deterministic, network_evaluations
from genlab.solvers.grids import CosineGrid, GivenGrid, PowerGrid, TimeGrid
from genlab.solvers.guidable import Guidable
from genlab.solvers.guidance import Guidance, Guided
from genlab.solvers.guidance_interval import IntervalGuidance
from genlab.solvers.heun_step import heun_step
from genlab.solvers.image_to_image import image_to_image
from genlab.solvers.inpainting import inpaint
from genlab.solvers.inversion import generate, interpolate, invert
from genlab.solvers.likelihood import FlowLikelihood, dequantised_log_prob, flow_log_prob
from genlab.solvers.noise_grids import KarrasGrid, LogSNRGrid
from genlab.solvers.ode import Euler, FlowSolver, Heun
from genlab.solvers.registry import solver_factories, solver_of
from genlab.solvers.sde import EulerMaruyama, PredictorCorrector
from genlab.solvers.shifted_grid import ShiftedGrid
from genlab.solvers.solver import Solver
from genlab.solvers.unipc import UniPC

__all__ = [
    "Ancestral",
    "Autoguidance",
    "AutoregressiveDecoding",
    "ClampedData",
    "ClassifierFreeGuidance",
    "ClassifierGuidance",
    "CosineGrid",
    "DDIM",
    "DPMSolverPP",
    "DPMSolverPPSDE",
    "DormandPrince",
    "DynamicThresholding",
    "EDMStochastic",
    "Euler",
    "EulerMaruyama",
    "FlowLikelihood",
    "FlowSolver",
    "GivenGrid",
    "Guidable",
    "Guidance",
    "Guided",
    "Heun",
    "IntervalGuidance",
    "KarrasGrid",
    "LogSNRGrid",
    "MultistepConsistency",
    "NoisyClassifier",
    "PowerGrid",
    "PredictorCorrector",
    "ShiftedGrid",
    "Solver",
    "TimeGrid",
    "UniPC",
    "UniformDequantisation",
    "VariationalDequantisation",
    "dequantised_log_prob",
    "evaluation_times",
    "flow_log_prob",
    "generate",
    "heun_step",
    "image_to_image",
    "inpaint",
    "interpolate",
    "invert",
    "is_deterministic",
    "network_evaluations",
    "solver_factories",
    "solver_of",
]
