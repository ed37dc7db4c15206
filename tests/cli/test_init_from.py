"""Starting from another model's weights leaves a frozen part the one that the config names."""

import torch
from torch import nn

from genlab.cli.init_from import initialise
from genlab.core import Frozen


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.first_stage, self.prior = Frozen(model=nn.Linear(2, 3)), nn.Linear(3, 1)


def test_a_frozen_part_is_left_alone(tmp_path, capsys):
    model, other = TwoParts(), TwoParts()
    before = {name: value.clone() for name, value in model.first_stage.state_dict().items()}
    torch.save({"state_dict": other.state_dict()}, tmp_path / "a.ckpt")
    initialise(model, str(tmp_path / "a.ckpt"))
    assert torch.equal(model.prior.weight, other.prior.weight)
    for name, value in model.first_stage.state_dict().items():
        assert torch.equal(value, before[name])
    assert "2 of 2 tensors" in capsys.readouterr().err
