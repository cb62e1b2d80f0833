# One command each; everything lives in .venv and is pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test attached lint bench shots docs clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sandbox,dev]'
	@packaging/pango $(BIN)/python
	@touch $@

demo: $(STAMP) ## open the console on the sandbox (embedded PostgreSQL, Valkey and exchange)
	@$(BIN)/qsuite-console sandbox

lint: $(STAMP) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint ## lint, then the whole suite on its own servers
	$(BIN)/pytest -n $(JOBS) --dist loadgroup

attached: $(STAMP) ## the tests of the screens once more, over HTTP as an attached console has them
	QSUITE_SCREENS_ATTACHED=1 $(BIN)/pytest tests/screens -n 4 --dist loadgroup

bench: $(STAMP) ## ratios against peers and raw limits, in one run, into docs/benchmarks.md
	$(BIN)/pytest tests/bench --ignore=none -p no:xdist --timeout 900 --page docs/benchmarks.md

shots: $(STAMP) ## pictures of every screen into docs/pictures
	PYTHONPATH=tests $(BIN)/python -m screens.shots

docs: $(STAMP) ## print the generated pages anew: settings, keys, example configuration
	$(BIN)/python docs/generate.py

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
