# `make help` lists what there is. Everything runs in .venv, made on first use.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/bin/uv

.DEFAULT_GOAL := help

.PHONY: help
help:  ## Explain the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.ready: $(BIN)/uv requirements.lock pyproject.toml
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

.PHONY: demo
demo: $(VENV)/.ready  ## Draw a catalog, index it, ask it, and leave demo/similar.png
	$(BIN)/lookalike demo

.PHONY: serve
serve: $(VENV)/.ready  ## Serve to stay: worker, index, API and the gallery at /
	$(BIN)/lookalike up

.PHONY: test
test: $(VENV)/.ready  ## Run the tests
	$(BIN)/python -m pytest

.PHONY: chaos
chaos: $(VENV)/.ready  ## Kill, cut off and poison everything, at length; compare with an independent book
	$(BIN)/python -m tests.chaos

.PHONY: chaos-short
chaos-short: $(VENV)/.ready  ## The same in four minutes, as CI runs it
	$(BIN)/python -m tests.chaos --short

.PHONY: check
check: $(VENV)/.ready  ## Lint, check formats, types and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/.bench: $(VENV)/.ready requirements-bench.lock
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-bench.lock
	@touch $@

.PHONY: bench
bench: $(VENV)/.bench  ## Measure against the machine's limit and rivals: two encoders, one size (BENCH=--help)
	$(BIN)/python -m tests.benchmarks $(BENCH)

.PHONY: bench-full
bench-full: $(VENV)/.bench  ## The same with three encoders, two sizes and the growth curve
	$(BIN)/python -m tests.benchmarks --full $(BENCH)

.PHONY: bench-recall
bench-recall: $(VENV)/.ready  ## Measure recall under filters and the strategies' times (RECALL=--help)
	$(BIN)/python -m tests.benchmarks.recall $(RECALL)

.PHONY: bench-queries
bench-queries: $(VENV)/.ready  ## Measure what a question costs, in Python and over HTTP (QUERIES=--help)
	$(BIN)/python -m tests.benchmarks.queries $(QUERIES)

.PHONY: bench-refresh
bench-refresh: $(VENV)/.ready  ## Measure a refresh that changes little against a full one (REFRESH=--help)
	$(BIN)/python -m tests.benchmarks.refresh $(REFRESH)

.PHONY: bench-swap
bench-swap: $(VENV)/.ready  ## Swap the model of 20,000 products under load; check every answer (SWAP=--help)
	$(BIN)/python -m tests.benchmarks.swap $(SWAP)

.PHONY: lock
lock: $(BIN)/uv  ## Resolve requirements.lock again, with hashes
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group dev --extra demo pyproject.toml --output-file requirements.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url \
		--python-version 3.11 --group bench --constraint requirements.lock --output-file requirements-bench.lock
