"""Compiling networks: which, and which not."""

import pytest
import torch

from genlab.callbacks.compile import Compile
from genlab.core import DataSpec, ModalitySpec
from genlab.families import Diffusion
from genlab.networks import MLP
from genlab.objectives import Denoising, ImplicitScoreMatching, SlicedScoreMatching
from genlab.probability import LinearPath

PLANE = DataSpec("plane", {"vector": ModalitySpec((2,))})


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
