# make run    set up .venv and run the main job with the embedded model
# make test   set up .venv with the test extra and pass the tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: venv run test lint bench-harness clean

venv: $(VENV)/.base

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.base

run: $(VENV)/.base
	$(BIN)/python -m suites run +sweep=seq_len

test: $(VENV)/.test lint
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-harness: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks/test_harness.py --benchmark-enable --benchmark-only

clean:
	rm -rf $(VENV) build *.egg-info
