"""The examples in docstrings do what they say."""

import doctest
import importlib

import pytest

from tests.conftest import ROOT

FOLDERS = ROOT / "platform", ROOT / "tests" / "benchmarks", ROOT / "tests" / "solvers"
FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py") if ">>> " in path.read_text())


def module_name(path) -> str:
    root = ROOT / "platform" if path.is_relative_to(ROOT / "platform") else ROOT
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("name", [module_name(path) for path in FILES])
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted
    assert not found.failed
