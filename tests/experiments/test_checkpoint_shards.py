"""Sharded checkpoints: any rows from any number of files, every command, and one line where a file is not whole."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab.core import UserError
from genlab.experiments import torch_files
from genlab.experiments.checkpoint_io import AtomicCheckpointIO, read_checkpoint, read_index
from genlab.experiments.checkpoint_shards import collect, remove, rows_of_rank
from genlab.experiments.run_dir import RunDir
from genlab.experiments.sharding import Sharded
from tests import forked, tiny
from tests.conftest import ROOT

X = torch.arange(15.0).reshape(5, 3)
TWO = [
    "--trainer.strategy=genlab.experiments.sharding.Sharded",
    "--trainer.strategy.wrap=[]",
    "--trainer.devices=2",
]
ONE = ["--trainer.strategy=auto", "--trainer.devices=1"]


def write(path: Path, x: torch.Tensor, ranks: int, folder: str = "a") -> Path:
    """A checkpoint of one tensor, as so many ranks write it."""
    files = [path.parent / "shards" / folder / f"{rank}.pt" for rank in range(ranks)]
    for rank, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        start, stop = rows_of_rank(len(x), rank, ranks)
        torch_files.write({"/state_dict/w": x[start:stop].clone()}, file)
    about = {"folder": folder, "bytes": [file.stat().st_size for file in files]}
    index = {"state_dict": {"w": x.to("meta"), "b": torch.ones(2)}, "shards": about, "steps": [1, (2, None)]}
    torch_files.write(index, path)
    return path


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_rows_for_any_number_of_readers(tmp_path: Path, ranks: int):
    path = write(tmp_path / "last.ckpt", X, ranks)
    whole = read_checkpoint(path)
    assert torch.equal(whole["state_dict"]["w"], X)
    assert torch.equal(whole["state_dict"]["b"], torch.ones(2))
    assert whole["steps"] == [1, (2, None)]
    for readers in range(1, 8):
        index, shards = read_index(path)
        for reader in range(readers):
            start, stop = rows_of_rank(5, reader, readers)
            rows = shards.rows("/state_dict/w", index["state_dict"]["w"], start, stop)
            assert torch.equal(rows, X[start:stop])


def test_rows_are_those_of_torch_chunk():
    for count in range(12):
        for ranks in range(1, 9):
            chunks = [x.tolist() for x in torch.arange(count).chunk(ranks) if len(x)]
            ours = [list(range(*rows_of_rank(count, rank, ranks))) for rank in range(ranks)]
            assert [rows for rows in ours if rows] == chunks


def test_a_shard_that_is_not_as_it_was_is_refused(tmp_path: Path):
    path = write(tmp_path / "last.ckpt", X, 2)
    shard = tmp_path / "shards" / "a" / "1.pt"
    good = shard.read_bytes()
    torch_files.write({"/state_dict/v": X[3:].clone()}, shard)
    assert shard.stat().st_size == len(good)
    with pytest.raises(UserError, match=r"1\.pt does not hold rows 3 to 5 of /state_dict/w"):
        read_checkpoint(path)
    shard.write_bytes(b"x" * len(good))
    with pytest.raises(UserError, match="expected a whole checkpoint, but it cannot be read"):
        read_checkpoint(path)
    shard.write_bytes(good[:-1])
    with pytest.raises(UserError, match=rf"1\.pt has {len(good) - 1} bytes of {len(good)}"):
        read_checkpoint(path)
    shard.unlink()
    with pytest.raises(UserError, match=r"expected all its 2 shards, but .*1\.pt is missing"):
        read_index(path)


def test_a_shard_carries_no_code_and_an_index_leads_nowhere_else(tmp_path: Path):
    path = write(tmp_path / "last.ckpt", X, 1)
    shard = tmp_path / "shards" / "a" / "0.pt"
    torch.save({"/state_dict/w": os.system}, shard)
    index = torch_files.read(path)
    index["shards"]["bytes"] = [shard.stat().st_size]
    torch_files.write(index, path)
    with pytest.raises(UserError, match="it carries code"):
        read_checkpoint(path)
    index["shards"]["folder"] = "../../elsewhere"
    torch_files.write(index, path)
    with pytest.raises(UserError, match=r"shards/elsewhere/0\.pt is missing"):
        read_checkpoint(path)


def test_replaced_while_it_is_read_it_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / "last.ckpt", X, 2)
    read = torch_files.read

    def replace_after_the_index(file: Path, mmap: bool = False) -> Any:
        found = read(file, mmap)
        if file == path and found["shards"]["folder"] == "a":
            write(path, X + 1, 2, folder="b")
            shutil.rmtree(tmp_path / "shards" / "a")
        return found

    monkeypatch.setattr(torch_files, "read", replace_after_the_index)
    assert torch.equal(read_checkpoint(path)["state_dict"]["w"], X + 1)


def test_what_no_checkpoint_names_is_deleted(tmp_path: Path):
    last = write(tmp_path / "last.ckpt", X, 1, folder="a")
    os.link(last, tmp_path / "best.ckpt")
    write(last.with_name("new"), X, 1, folder="b").replace(last)
    (tmp_path / "shards" / "left").mkdir()
    collect(tmp_path)
    assert {path.name for path in (tmp_path / "shards").iterdir()} == {"a", "b"}
    remove(tmp_path / "best.ckpt")
    assert {path.name for path in (tmp_path / "shards").iterdir()} == {"b"}
    (tmp_path / "step_1.ckpt").write_bytes(b"it can't be said what this one needs")
    (tmp_path / "shards" / "left").mkdir()
    collect(tmp_path)
    assert {path.name for path in (tmp_path / "shards").iterdir()} == {"b", "left"}
    (tmp_path / "step_1.ckpt").unlink()
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}}, last, ["best"])
    assert not list((tmp_path / "shards").iterdir())
    assert last.samefile(tmp_path / "best.ckpt")


def test_a_weight_that_can_not_be_cut_is_refused():
    model = torch.nn.Module()
    model.gain = torch.nn.Parameter(torch.zeros(()))
    with pytest.raises(UserError, match="the weight gain is a single number"):
        Sharded().shard(model)


def command(*words: object) -> None:
    """A command in processes of its own."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}"}
    call = [sys.executable, "-m", "genlab", *map(str, words)]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    folder = tmp_path_factory.mktemp("sharded")
    tree = tiny.config("vae", max_steps=12)
    tree["checkpoint"] |= {"every_n_steps": 0, "keep_every_n_steps": 4}
    path = tiny.write(folder / "vae.yaml", tree)
    words = ("--config", path, "--run.root", folder, "--run.id", "a", *TWO)
    ended = forked.lightning("fit", *words, arrange=forked.several(2))
    assert ended.status == 0, ended.err
    return RunDir(folder / "vae" / "a")


def test_every_command_reads_it(run: RunDir, tmp_path: Path, lightning: Any):
    names = {path.stem for path in run.checkpoints.glob("*.ckpt")}
    assert names == {"last", "best", "step_00000004", "step_00000008", "step_00000012"}
    raw, averaged = genlab.load(run.last, weights="raw"), genlab.load(run.root)
    assert not torch.equal(next(raw.parameters()), next(averaged.parameters()))
    out = tmp_path / "s.npz"
    for ckpt in (run.root, run.last, run.checkpoints / "step_00000008.ckpt"):
        assert lightning("sample", "--ckpt", ckpt, "--num", 4, "--out", out).status == 0
        out.unlink()
    assert lightning("evaluate", "--ckpt", run.root, "--metrics", "fid", "--num", 40).status == 0
    assert lightning("export", "--ckpt", run.last, "--out", tmp_path / "export").status == 0
    exported = genlab.load(tmp_path / "export").state_dict()
    assert all(torch.equal(x, exported[k]) for k, x in genlab.load(run.last).state_dict().items())
    assert lightning("compare", run.root, "--out", tmp_path / "report.html").status == 0
    assert "fid" in json.loads(run.results.read_text())["scores"]
    assert lightning("validate", "--ckpt_path", run.root, *ONE).status == 0
    command("validate", "--ckpt_path", run.root)  # as it was trained, on two ranks
    words = ("--config", run.config, "--init_from", run.root, "--run.root", tmp_path, "--run.id", "b", *ONE)
    assert lightning("fit", *words, "--trainer.max_steps=1").status == 0


def test_prune_frees_its_shards(run: RunDir, tmp_path: Path, lightning: Any):
    copied = tmp_path / "runs" / "vae" / "a"
    shutil.copytree(run.root, copied)
    before = {path.name for path in (copied / "checkpoints" / "shards").iterdir()}
    assert lightning("prune", "--root", tmp_path / "runs", "--yes").status == 0
    left = {path.name for path in (copied / "checkpoints" / "shards").iterdir()}
    assert left < before
    for name in ("last", "best"):
        read_checkpoint(copied / "checkpoints" / f"{name}.ckpt")


def test_a_missing_shard_is_one_line_before_anything_begins(run: RunDir, tmp_path: Path, lightning: Any):
    copied = tmp_path / "vae" / "a"
    shutil.copytree(run.root, copied)
    for shard in (copied / "checkpoints" / "shards").rglob("1.pt"):
        shard.unlink()
    for words in (
        ("sample", "--ckpt", copied, "--num", 1, "--out", tmp_path / "s.png"),
        ("evaluate", "--ckpt", copied),
        ("export", "--ckpt", copied, "--out", tmp_path / "e"),
        ("validate", "--ckpt_path", copied),
        ("fit", "--resume", copied),
    ):
        refused = lightning(*words)
        assert refused.status == 2
        assert refused.error.startswith("error: ckpt: got ")
        assert "1.pt is missing" in refused.error
