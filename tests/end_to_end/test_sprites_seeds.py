"""A penalty on the total correlation disentangles sprites: MIG over three seeds, at the configs' full length."""

import json
from pathlib import Path

import pytest

from genlab.cli.main import run
from tests.end_to_end.sprites_seeds import CONFIGS, NAMES, measure, scores_of

SHORT = [
    "--trainer.max_steps=2",
    "--metrics.every_n_steps=0",
    "--samples.every_n_steps=0",
    "--data.limit=300",
]


def test_runs_that_are_done_are_taken_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(CONFIGS.parents[1])
    flags = [*SHORT, "--trainer.val_check_interval=2", "--trainer.limit_val_batches=1"]
    first = scores_of("vae_sprites", 3, tmp_path, run, flags)
    assert {"mig", "factor_vae_score", "sap", "modularity"} <= set(first)
    found = measure([3], tmp_path, lambda words: pytest.fail(f"ran {words}"), ["vae_sprites"])
    assert found["scores"]["vae_sprites"]["mig"]["values"] == [first["mig"]]
    json.dumps(found)


@pytest.mark.slow
@pytest.mark.timeout(9 * 1200)  # nine trainings of at most eight minutes on two cores
def test_total_correlation_doubles_the_mig(tmp_path: Path):
    found = measure([0, 1, 2], tmp_path, run)
    (tmp_path / "sprites.json").write_text(json.dumps(found, indent=2))
    plain, *others = (found["scores"][name]["mig"]["mean"] for name in NAMES)
    assert max(others) >= 2 * plain
    assert max(others) >= 0.15
