# Every target installs what it needs first and says so. `make` alone prints this list.
# No target needs a terminal or standard input.

PYTHON ?= python3
export PYTHON
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .bench/venv
PIP_VERSION := 26.3
PYTEST_WORKERS ?= 2
E2E_WORKERS ?= 3
E2E_OPTIONS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo test test-oldest test-slow e2e cluster cluster-down lint bench bench-quick crds clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.development ## install Driftline and all its tools into .venv

demo: $(VENV)/.demo ## train a model, put Driftline in front, replay a year of flights, say what drifted
	@$(BIN)/python -m examples.flights.demo

test: $(VENV)/.development ## run the tests that take seconds (minutes more the first time: it builds an API server)
	@scripts/bootstrap test
	@$(BIN)/python -m e2e.cluster build >/dev/null || [ -z "$$CI" ]
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m "not slow"

test-oldest: $(VENV)/.development ## the tests against an API server, of the oldest Kubernetes that is supported
	@scripts/bootstrap test
	DRIFTLINE_KUBERNETES=oldest $(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m "not slow" tests/integration

test-slow: $(VENV)/.development ## run the slow tests: simulations, faults under load, large bodies
	@scripts/bootstrap test
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) -m slow

e2e: $(VENV)/.development ## the end-to-end tests on a real Kubernetes: one of its own, or KUBECONFIG=FILE names yours
	@scripts/bootstrap test
	$(BIN)/python -m pytest e2e -o cache_dir=.pytest_cache/e2e -n $(E2E_WORKERS) --maxschedchunk 1 --durations 8 $(E2E_OPTIONS)

cluster: $(VENV)/.development ## start a Kubernetes on this machine with the project's images in it (needs root)
	@scripts/bootstrap test
	@$(BIN)/python -m e2e.cluster up

cluster-down: $(VENV)/.development ## end it; nothing of it is left
	@$(BIN)/python -m e2e.cluster down

lint: $(VENV)/.development ## check style, types and the rules about who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.demo $(BENCH_VENV)/.installed ## measure against nginx, Envoy, Evidently and others (half an hour)
	@scripts/bootstrap bench
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.demo $(BENCH_VENV)/.installed ## the same in a few minutes, with less certain figures
	@scripts/bootstrap bench
	@$(BIN)/python -m benchmarks --quick

crds: $(VENV)/.demo ## write the custom resource definitions from the spec types into crds/
	$(BIN)/python -m driftline_cli.crds crds charts/driftline/files/crds

clean: ## remove what the targets above made
	rm -rf $(VENV) .bench .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# One stamp per set of packages: it is made again when the declared or the pinned versions change.
$(VENV)/bin/python:
	@scripts/bootstrap
	@echo "install: making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) pip==$(PIP_VERSION)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "install: Driftline, its command line and the demo's model server"
	@$(PIP) pip==$(PIP_VERSION) # a virtual environment made by hand has one that knows no groups
	@$(PIP) --constraint constraints.txt --editable '.[cli,operator]' --group demo
	@touch $@

$(VENV)/.development: $(VENV)/.demo
	@echo "install: the tools of the tests and of the linters"
	@$(PIP) --constraint constraints.txt --group test --group lint
	@touch $@

$(BENCH_VENV)/.installed: benchmarks/requirements.txt
	@scripts/bootstrap
	@echo "install: the benchmarks' peers into $(BENCH_VENV)"
	@$(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --requirement $<
	@touch $@
