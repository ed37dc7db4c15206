"""Folders of images: classes, splits, crops, broken files, resume where images are streamed."""

import logging
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from genlab.core import UserError
from genlab.data import ImageFolder, InMemory, Streamed
from genlab.data.loaders import TrainingLoader

SPLITS = ("train", "val", "test")


@pytest.fixture
def folder(tmp_path):
    """30 cats and 20 dogs of assorted shapes and formats, each of one colour that says its number."""
    for i in range(50):
        kind = "cat" if i < 30 else "dog"
        path = tmp_path / "pets" / kind / f"{i:02d}.{('png', 'jpg', 'webp')[i % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + i, 40 - i // 2), (5 * i, 5 * i, 5 * i)).save(path, quality=100, lossless=True)
    (tmp_path / "pets" / "notes.txt").write_text("not an image")
    return tmp_path / "pets"


def truncate(path):
    path.write_bytes(path.read_bytes()[:40])


def numbers(data, split):
    """The files' numbers, read from their colours."""
    image = torch.cat([batch["image"] for batch in data.batches(split, batch_size=8)])
    return (data.spec["image"].levels(image).float().mean((1, 2, 3)) / 5).round().long().tolist()


@pytest.mark.parametrize("in_memory", [True, False])
def test_classes_splits_and_content(folder, in_memory):
    data = ImageFolder(str(folder), size=8, labels=True, in_memory=in_memory, num_workers=0)
    assert data.spec.name == "pets"
    assert data.spec["label"].names == ("cat", "dog")
    assert isinstance(data.source("train"), InMemory if in_memory else Streamed)
    found = {split: numbers(data, split) for split in SPLITS}
    assert sorted(chain(*found.values())) == list(range(50))
    assert [len(found[split]) for split in SPLITS] == [40, 5, 5]
    for split in SPLITS:
        label = torch.cat([batch["label"] for batch in data.batches(split)])
        assert label.tolist() == [int(i >= 30) for i in found[split]]
    assert 2 <= sum(i < 30 for i in found["val"]) <= 4
    assert 2 <= sum(i < 30 for i in found["train"][:12]) <= 10, "the first so many are of all classes"
    again = ImageFolder(
        [str(folder / "cat"), str(folder / "dog" / "*.*")], size=8, labels=True, num_workers=0
    )
    assert {split: numbers(again, split) for split in SPLITS} == found


def test_grey_and_without_labels(folder):
    data = ImageFolder(str(folder / "**" / "*.png"), size=8, channels=1, num_workers=0)
    batch = next(data.batches("train"))
    assert list(batch) == ["image"]
    assert batch["image"].shape[1:] == (1, 8, 8)
    assert data.spec.name == "pets"


def test_the_centre_is_kept_and_exif_is_heeded(tmp_path):
    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    pixels[:, 20:40] = [0, 0, 250]
    pixels[:10, 20:40] = [250, 0, 0]  # the central square: red above blue
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    for i in range(3):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png", exif=turned if i else None)
    data = ImageFolder(str(tmp_path), size=4, shares=(1, 1, 1), num_workers=0)
    seen = [next(data.batches(split))["image"][0] for split in SPLITS]
    red_above = sum(image[0, 0].min() > 0.8 and image[2, 0].max() < -0.8 for image in seen)
    red_below = sum(image[0, 3].min() > 0.8 and image[2, 3].max() < -0.8 for image in seen)
    assert (red_above, red_below) == (1, 2)


def test_workers_and_restarts_change_nothing(folder):
    """Streamed by two processes, stopped in the middle: the same batches as from memory."""
    streamed = ImageFolder(str(folder), size=8, in_memory=False, num_workers=2).source("train")
    kept = ImageFolder(str(folder), size=8, in_memory=True, num_workers=0).source("train")
    whole = [batch["image"] for _ in range(2) for batch in TrainingLoader(kept, 6, seed=0, flip=True)]
    state = torch.get_rng_state()
    for start in (0, 3):
        loader = TrainingLoader(streamed, 6, seed=0, flip=True)
        loader.load_state_dict({"batch": start})
        for number, batch in enumerate(loader, start):
            assert loader.state_dict() == {"batch": number + 1}
            assert torch.equal(batch["image"], whole[number] if number < 6 else batch["image"])
            if number == 4:
                break
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("in_memory", [True, False])
def test_broken_images_stop(folder, in_memory):
    broken = sorted(folder.rglob("*.png"))[:3]
    for path in broken:
        truncate(path)
    data = ImageFolder(str(folder), size=8, in_memory=in_memory, num_workers=0)
    split = next(split for split in SPLITS if str(broken[0]) in {data.files[i] for i in data.splits[split]})
    with pytest.raises(UserError, match=r"^paths: .*--data\.on_broken=skip") as error:
        numbers(data, split)
    assert "\n" not in str(error.value)
    assert any(path.name in str(error.value) for path in broken)


@pytest.mark.parametrize("in_memory", [True, False])
def test_broken_images_are_skipped_named_and_counted(folder, in_memory, caplog):
    truncate(folder / "cat" / "03.png")
    (folder / "dog" / "31.jpg").write_bytes(b"")
    (folder / "dog" / "32.webp").write_text("not an image")
    data = ImageFolder(str(folder), size=8, labels=True, on_broken="skip", in_memory=in_memory, num_workers=0)
    with caplog.at_level(logging.WARNING):
        found = list(chain(*(numbers(data, split) for split in SPLITS)))
        again = list(chain(*(numbers(data, split) for split in SPLITS)))
    assert sorted(found) == sorted(again) == [i for i in range(50) if i not in (3, 31, 32)]
    for name in ("03.png", "31.jpg", "32.webp"):
        assert sum(name in message for message in caplog.messages) == 1
    assert all("so far" in message for message in caplog.messages)


def test_nothing_but_broken_images_is_an_error(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").write_bytes(b"")
    for in_memory in (True, False):
        data = ImageFolder(
            str(tmp_path), shares=(1, 1, 1), on_broken="skip", labels=True, in_memory=in_memory, num_workers=0
        )
        with pytest.raises(UserError, match=r"^paths: all of 3 images are broken"):
            list(data.batches("train"))


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for paths in (str(tmp_path), str(tmp_path / "none"), [str(tmp_path / "*.jpg")]):
        with pytest.raises(UserError, match=r"^paths: got .*, expected a folder with images; "):
            ImageFolder(paths)


def test_too_few_images_are_refused(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(UserError, match=r"^paths: got '1 images', expected some for val"):
        ImageFolder(str(tmp_path))


@pytest.mark.parametrize(
    "arguments",
    [{"size": 0}, {"channels": 4}, {"shares": (8, 0, 1)}, {"on_broken": "ignore"}, {"num_workers": -1}],
    ids=lambda a: next(iter(a)),
)
def test_wrong_arguments_are_refused(folder, arguments):
    with pytest.raises(UserError, match=f"^{next(iter(arguments))}: got "):
        ImageFolder(str(folder), **arguments)


def test_a_changed_file_changes_the_fingerprint(folder):
    def fingerprint(in_memory):
        return ImageFolder(str(folder), size=8, in_memory=in_memory, num_workers=0).fingerprint("train")

    before = fingerprint(True), fingerprint(False)
    assert before == (fingerprint(True), fingerprint(False))
    for path in folder.rglob("*.png"):
        Image.new("RGB", (9, 9), (1, 2, 3)).save(path)
    assert fingerprint(True) != before[0]
    assert fingerprint(False) != before[1]
