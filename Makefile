# Every target sets the environment up first (./setup.sh does nothing when it already stands).
SHELL := /bin/sh
PYTHON := $(if $(VIRTUAL_ENV),python,$(if $(filter-out base,$(CONDA_DEFAULT_ENV)),python,.venv/bin/python))

.PHONY: help setup demo test slow lint types bench trust docs clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

setup:
	@./setup.sh

demo: setup  ## simulated corpus -> dataset -> training -> evaluation -> one prediction; 4 minutes
	@$(PYTHON) -m erc demo

lint: setup  ## ruff, lint and format
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .

types: setup  ## mypy over erc/
	@$(PYTHON) -m mypy

test: lint types  ## lint, types, the contract of imports and all quick tests; under 10 minutes
	@$(PYTHON) -m pytest -n 2 --dist loadfile -m "not slow"

slow: setup  ## the tests that take minutes
	@$(PYTHON) -m pytest -m slow

bench: setup  ## every speed figure against its baseline, and docs/performance.md; leave the machine alone meanwhile
	@$(PYTHON) -m bench

trust: setup  ## every attack by its seed, results in docs/trust.md; two hours, make trust QUICK=--quick: 15 minutes
	@$(PYTHON) -m bench.trust $(QUICK)

docs: setup  ## the guides as a site in site/; writes docs/reference/ anew from the code
	@$(PYTHON) docs/generate.py && NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict  # not --quiet: that hides warnings from --strict

clean:  ## remove what runs wrote here (not data, not .venv)
	rm -rf runs outputs multirun site .pytest_cache .ruff_cache .mypy_cache
