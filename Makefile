.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help:            ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ ·/'

.venv/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

install: .venv/.installed ## create .venv and install the package into it

DEMO := runs/flow_matching_digits/demo

demo: install    ## train flow matching on digits, sample, evaluate, compare: about 6 minutes on 2 CPU cores after the install
	$(BIN)/lightning fit --config configs/diffusion/flow_matching_digits.yaml --run.id=demo --ckpt_path=last
	$(BIN)/lightning sample --ckpt $(DEMO) --num 100 --out $(DEMO)/samples/grid.png
	$(BIN)/lightning evaluate --ckpt $(DEMO)
	$(BIN)/lightning compare $(DEMO) --out $(DEMO)/report.html
	@echo
	@echo "samples:    $(DEMO)/samples/grid.png  (path.gif: from noise to digits; history.gif: through training)"
	@echo "scores:     $(DEMO)/results.json"
	@echo "comparison: $(DEMO)/report.html  (open it in a browser)"
	@echo "curves:     $(DEMO)/metrics.csv, and W&B: wandb sync $(DEMO)/wandb/offline-run-*"

test: install    ## the tests: minutes
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: install ## longer trainings, and comparisons with larger packages
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	$(BIN)/python -m pytest -m 'slow or peers'

test-slurm: install ## a real two-node SLURM cluster on this machine: preempted, out of time, killed; installs Debian's SLURM where it may
	@if bash tests/slurm/install.sh; then $(BIN)/python -m pytest -rs -m slurm tests/slurm; fi

bench: install   ## speed, side by side with peers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[peers]'
	$(BIN)/python -m tests.benchmarks

lint: install    ## style and layers
	$(BIN)/ruff check platform tests
	$(BIN)/ruff format --check platform tests
	$(BIN)/lint-imports

.PHONY: help install demo test test-slow test-slurm bench lint
