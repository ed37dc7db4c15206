"""Compiling networks: which, and which not."""

from functools import partial

import pytest
import torch

from genlab.callbacks.compile import Compile
from genlab.core import DataSpec, ModalitySpec
from genlab.data import Digits
from genlab.families import GAN, Autoencoder, Diffusion
from genlab.networks import MLP, DCGANCritic, DCGANGenerator
from genlab.objectives import (
    R1,
    AdversarialObjective,
    Contractive,
    Denoising,
    ImplicitScoreMatching,
    Reconstruction,
    SlicedScoreMatching,
)
from genlab.probability import LinearPath

PLANE = DataSpec("plane", {"vector": ModalitySpec((2,))})


NARROW = {"channels": [8, 8]}
PENALISED = {
    "Reconstruction": lambda penalised: Autoencoder(
        Digits().spec, objective=Reconstruction(penalties=[Contractive()] if penalised else [])
    ),
    "AdversarialObjective": lambda penalised: GAN(
        Digits().spec,
        partial(DCGANGenerator, **NARROW),
        partial(DCGANCritic, **NARROW),
        AdversarialObjective(regularisers=[R1()] if penalised else []),
    ),
}


@pytest.mark.parametrize("name", PENALISED)
def test_nor_is_what_a_penalty_differentiates_twice(name: str, monkeypatch: pytest.MonkeyPatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **_: compiled.append(module))
    with pytest.warns(UserWarning, match=f"{name} differentiates its network twice: it is not compiled"):
        Compile().setup(None, PENALISED[name](True), "fit")
    assert compiled == []
    Compile().setup(None, PENALISED[name](False), "fit")
    assert len(compiled) >= 2


@pytest.mark.parametrize("objective", [Denoising(), ImplicitScoreMatching(), SlicedScoreMatching()])
def test_what_is_differentiated_twice_is_not_compiled(objective, monkeypatch: pytest.MonkeyPatch):
    compiled = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda module, **_: compiled.append(type(module).__name__)
    )
    model = Diffusion(PLANE, MLP, path=LinearPath(1e-3, 0.999), objective=objective)
    if isinstance(objective, Denoising):
        Compile().setup(None, model, "fit")
        assert compiled == ["MLP"]
    else:
        with pytest.warns(
            UserWarning, match="ScoreMatching differentiates its network twice: it is not compiled"
        ):
            Compile().setup(None, model, "fit")
        assert compiled == []
