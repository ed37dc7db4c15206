"""Checks of the doctor that need no machine of their own."""

from pathlib import Path

import pytest
from PIL import Image

from genlab.core import UserError, global_seed
from genlab.data import Digits, ImageFolder
from genlab.data.loaders import TrainingLoader
from genlab.experiments.doctor import check_data, check_run_directory
from genlab.experiments.doctor.check import Fault
from genlab.experiments.doctor.places import check_shared


def test_a_run_directory_that_is_each_nodes_own(tmp_path: Path):
    """The first rank leaves its mark on its own disk, and the second one looks for it on another."""
    disks = [tmp_path / "n0", tmp_path / "n1"]
    for rank, disk in enumerate(disks):
        assert "is writable" in check_run_directory(disk, ".doctor", rank)
    assert check_shared(disks[0], ".doctor") == "seen by all ranks"
    with pytest.raises(Fault, match=r"n1', where the first rank's files are not seen; pass --run\.root=DIR"):
        check_shared(disks[1], ".doctor")
    assert not list(disks[1].iterdir())


def test_a_batch_that_ranks_cannot_share():
    data = Digits(batch_size=10, limit=20)
    assert "digits, 20 training and 20 validation samples, image of shape (1, 8, 8)" in check_data(data, 2)
    with pytest.raises(UserError, match="batch_size: got 10, expected a multiple of the 4 processes"):
        check_data(data, 4)
    with pytest.raises(UserError, match="batch_size: got 30, expected at most the 20 training samples"):
        check_data(Digits(batch_size=30, limit=20), 2)


def test_training_data_that_cannot_be_read(tmp_path: Path):
    """Each rank reads its own part of the first batch; validation data alone are no sign that training's are there."""
    for number in range(20):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number:02}.png")
    data = ImageFolder(str(tmp_path), size=8, channels=1, batch_size=16, in_memory=False, num_workers=0)
    assert "16 training and 2 validation samples" in check_data(data, 2, 1)
    loader = TrainingLoader(data.source("train"), 16, global_seed(), rank=1, world_size=2)
    lost = Path(data.source("train").files.paths[loader.indices(0)[0]])
    lost.unlink()
    assert "16 training" in check_data(data, 2, 0)
    with pytest.raises(UserError, match=rf"paths: 1 broken image\(s\), the first is {lost} \(.*No such file"):
        check_data(data, 2, 1)
