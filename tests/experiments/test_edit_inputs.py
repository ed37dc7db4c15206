"""Images of a model's own data by split and number."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from genlab.core import UserError
from genlab.data import Digits
from genlab.experiments.edit_inputs import images_of

CONFIG = {"data": {"class_path": "genlab.data.Digits", "init_args": {"limit": 20}}}


def test_a_split_is_its_first_images_or_those_of_given_numbers():
    loaded = SimpleNamespace(spec=Digits().spec, config=CONFIG)
    whole = next(Digits(limit=20).batches("val", batch_size=30))
    x, labels = images_of("traverse", Path("val"), loaded)
    assert torch.equal(x, whole["image"][:8])
    x, labels = images_of("traverse", Path("val:5,0,5"), loaded)
    assert torch.equal(x, whole["image"][[5, 0, 5]])
    assert torch.equal(labels, whole["label"][[5, 0, 5]])
    with pytest.raises(UserError, match=r"traverse: got 'test:99999', expected numbers from 0 to \d+"):
        images_of("traverse", Path("test:99999"), loaded)
