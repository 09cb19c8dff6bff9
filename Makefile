# make run    set up .venv and run the main job with the embedded model
# make test   set up .venv with the test extra and pass the tests
# make test-browser              the report in a headless Chromium (of the PATH, or CHROMIUM=/path)
# make test-slurm                sweeps on a Slurm that the tests start here; needs root, slurm-wlm and munge (Debian)
# make fuzz                      mutated files of every kind, 5,000 a test; FUZZ=100000 for more
# make docs                      build the documentation, docs/_build/html, warnings as errors
# make dist                      sdist and wheel of HEAD in dist/, their metadata checked
# make dist-check                install that wheel in a clean environment and run the main job from it
# make gpu-check                 what the CUDA path does on this machine's GPU, in 8 minutes; DEVICE=cpu: a dry run
# make budgets                   measure the deterministic budgets anew and say what changed
# make bench                     time every strategy beside the baseline; OPTIONS="..." for pytest-benchmark
# make bench-compare BASE=main   time the working tree beside a revision; OPTIONS="KEY=VALUE ... --rounds 6"
# make bench-soak                10,000 rounds stay flat, a million steps load and are drawn, 50 killed runs resume, a
#                                sweep starts soon and spends its time measuring; 25 minutes
# make study                     how often verdicts are right (45 minutes, goes on where it was stopped)
# make first-run                 show on docs/first-run.md what its commands print and draw, on README the answer
# make page                      write docs/decoding anew from the embedded model
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BASE    ?= HEAD
OPTIONS ?=
FUZZ    ?= 5000
# What is timed runs alone: the configuration of pytest spreads tests over processes and turns benchmarks off.
TIMED  := -n 0 --dist no --benchmark-enable --benchmark-only

.PHONY: venv venv-dev run test pytest test-browser test-slurm fuzz gpu-check docs dist dist-check lint budgets bench bench-compare \
	bench-harness bench-soak study page first-run clean

venv: $(VENV)/.base

venv-dev: $(VENV)/.test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# pip would compile what it installs on one core, tests of the libraries too; a file that is no Python is passed over.
$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[dev]'
	-@$(BIN)/python -m compileall -qq -j 0 -x '/tests?/' $(VENV)/lib
	@touch $@ $(VENV)/.base

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.base

$(VENV)/.browser: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	@touch $@ $(VENV)/.test $(VENV)/.base

$(VENV)/.release: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[release]'
	@touch $@ $(VENV)/.base

run: $(VENV)/.base
	$(BIN)/python -m suites run +sweep=seq_len

# mypy checks the types on one core while the tests begin.
test:
	@$(MAKE) --no-print-directory --jobs=2 lint pytest

# With bytecode written, whatever the environment says: tests start processes that would compile the packages again.
pytest: $(VENV)/.test
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

test-browser: $(VENV)/.browser
	$(BIN)/python -m pytest -o addopts="-q --strict-markers --strict-config -n 2" tests/browser

test-slurm: $(VENV)/.test
	$(BIN)/python -m pytest -o addopts="-q --strict-markers --strict-config" tests/slurm

# With the machine's own Python, because a GPU machine may have no network to make an environment from.
gpu-check:
	PYTHON='$(PYTHON)' bash tests/gpu_check/run.sh

fuzz: $(VENV)/.test
	DECODEBENCH_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

# Of what is committed, so that no other file gets in. TAG=v1.2.3 demands that version and its section of CHANGELOG.md;
# PROJECT_URL=https://... makes the links of the README, which an index shows too, lead into that repository.
dist: $(VENV)/.release
	rm -rf dist build/source
	mkdir -p build/source
	git archive HEAD | tar -x -C build/source
	$(BIN)/python -m tests.release build/source '$(TAG)' '$(PROJECT_URL)'
	$(BIN)/python -m build --outdir dist build/source
	$(BIN)/python -m twine check --strict dist/*

dist-check:
	@ls dist/decodebench-*.whl >/dev/null 2>&1 || { echo "dist-check: there is no wheel in dist/; run make dist before"; exit 1; }
	rm -rf build/clean
	$(PYTHON) -m venv build/clean/venv
	build/clean/venv/bin/python -m pip install --quiet --disable-pip-version-check dist/decodebench-*.whl
	mkdir build/clean/folder
	cd build/clean/folder && ../venv/bin/decodebench run +sweep=seq_len $(OPTIONS)
	test -s build/clean/folder/results/latest/report.html

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

budgets: $(VENV)/.test
	$(BIN)/python -m tests.benchmarks.budgets

bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks/test_strategies.py $(TIMED) $(OPTIONS)

bench-compare: $(VENV)/.test
	$(BIN)/python -m tests.benchmarks.versus '$(BASE)' $(OPTIONS)

bench-harness: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks/test_harness.py $(TIMED)

bench-soak: $(VENV)/.test
	$(BIN)/python -m tests.soak.rounds
	$(BIN)/python -m tests.soak.million_steps
	$(BIN)/python -m tests.soak.resume
	$(BIN)/python -m tests.soak.start
	$(BIN)/python -m tests.soak.overhead

study: $(VENV)/.test
	$(BIN)/python -m tests.benchmarks.study $(OPTIONS)

page: $(VENV)/.base
	$(BIN)/python -m suites shapes --explain hydra.run.dir=docs/decoding

first-run: $(VENV)/.base
	$(BIN)/python -m tests.reference_card
	$(BIN)/python -m tests.first_run $(OPTIONS)

clean:
	rm -rf $(VENV) build *.egg-info
