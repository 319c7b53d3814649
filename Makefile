# Everything here needs Python 3.11 or newer, make and pip, and nothing else. `make PYTHON=python3.12 …` picks the Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests with real processes run in one worker, where they mostly wait; all others run in the other workers.
SIDE_BY_SIDE := -n 4 --dist loadgroup
READY := $(VENV)/.ready

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check docs soak bench measure record clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv, pinned; again only when pyproject.toml or constraints.txt changed

# The build backend comes first and pinned, so that building does not fetch one of its own. Where Python was
# installed without ensurepip (Debian), the virtual environment gets its pip from the pip at hand.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@echo "Setting up $(VENV), once ..."
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --quiet --python $(BIN)/python install pip; }
	@$(BIN)/python -m pip install --quiet -c constraints.txt hatchling editables
	@$(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## play every scenario over real HTTP, and show what became of each invoice
	$(BIN)/pacspace-stripe demo

test: $(READY) ## run the tests
	$(BIN)/pytest $(SIDE_BY_SIDE) $(COVERAGE)

check: COVERAGE := --cov --cov-report=term:skip-covered
check: SIDE_BY_SIDE := -n 2 --dist loadgroup
check: $(READY) ## the gate: format, lint, types, import contracts, tests with coverage (the documents among them)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest $(SIDE_BY_SIDE) $(COVERAGE)

docs: $(READY) ## write the generated parts of the documents again
	$(BIN)/pytest -q tests/unit/test_docs.py --write-docs

soak: $(READY) ## run the long tests; SOAK='--stop-after 30' ends after that many minutes
	$(BIN)/pytest -m soak $(SOAK)

bench: $(READY) ## measure the budgets of speed and memory
	$(BIN)/pytest -q -s -o python_files='bench_*.py' tests/benchmarks

measure: $(READY) ## print the measures of the house: sizes, names, openings of docstrings
	@$(BIN)/python -m tests.support.measure

record: $(READY) ## record the adapters' cassettes again: test modes whose keys are in the environment, else simulators
	$(BIN)/python -m tests.support.recordings

clean: ## remove everything that was made here, .venv too
	rm -rf $(VENV) build dist demo-output .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
