"""What README and the configs say was reached is what the kept results say."""

import json
from pathlib import Path

import pytest

from genlab.experiments.published import kept, reached, renewed, table
from genlab.experiments.published_likelihoods import likelihood_table
from genlab.experiments.published_tables import with_tables_of

ROOT = Path(__file__).parents[2]


def test_nothing_is_typed():
    for path, text in renewed(ROOT).items():
        assert path.read_text() == text, f"{path}: run python -m genlab.experiments.published"


@pytest.mark.parametrize("name", ["flow_matching_digits", "ddpm_digits", "dcgan_digits", "vae_digits"])
def test_a_table_holds_each_score_as_its_file_has_it(name: str):
    record = json.loads((ROOT / "configs" / "results" / f"{name}.json").read_text())
    row = next(line for line in table(kept(ROOT / "configs" / "results")).splitlines() if f"`{name}`" in line)
    for score, form in {"fid_ratio": ".2f", "two_sample": ".3f", "memory": ".3f"}.items():
        assert f" {record['scores'][score]['value']:{form}} " in row
    assert f"two-sample test {record['scores']['two_sample']['value']:.3f}" in " ".join(reached(record))


def test_a_solver_that_takes_as_many_evaluations_as_it_needs_is_named_by_its_tolerance():
    record = json.loads((ROOT / "configs" / "results" / "flow_matching_eight_gaussians.json").read_text())
    score = {"value": 1.25, "std": None, "protocol": {}}
    record["scores"] = {"swd_ratio": score}
    record["protocol"]["sampler"] = {"solver": "DormandPrince", "nfe": None, "rtol": 1e-5}
    text = " ".join(reached(record))
    assert "SWD / floor 1.25;" in text
    assert "DormandPrince with a tolerance of 1e-05" in text
    assert "SWD / floor" in table([record]).splitlines()[0]


def test_the_flow_needs_no_more_bits_than_a_gaussian_vae_under_the_same_dequantisation():
    names = ("flow_matching_dequantised_digits", "vae_gaussian_digits", "vae_digits")
    records = [json.loads((ROOT / "configs" / "results" / f"{name}.json").read_text()) for name in names]
    flow, gaussian, discrete = (record["scores"]["bpd"] for record in records)
    assert flow["protocol"]["measure"] == gaussian["protocol"]["measure"] == "dequantised"
    assert len({bpd["protocol"]["num_samples"] for bpd in (flow, gaussian, discrete)}) == 1
    assert flow["value"] <= gaussian["value"]
    rows = likelihood_table(*records).splitlines()
    assert rows[2].startswith(
        "| `flow_matching_dequantised_digits` | dequantised | probability-flow ODE (bound) |"
    )
    assert rows[2].endswith(f"| {flow['value'] - discrete['value']:.3f} |")


def test_a_table_may_be_of_several_files(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"name": name}))
    text = "x\n<!-- k: a b -->\nold\n<!-- end of k -->\ny\n<!-- k: b -->\n<!-- end of k -->\n"
    new = with_tables_of("k", text, tmp_path, lambda *records: "+".join(record["name"] for record in records))
    assert new == "x\n<!-- k: a b -->\na+b\n<!-- end of k -->\ny\n<!-- k: b -->\nb\n<!-- end of k -->\n"
