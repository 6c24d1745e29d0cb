# Trefoil's commands. `make run` shows the product, `make test` proves it.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
PYTHON ?= python3.11
# TORCH=cuda installs the registry's GPU build of torch instead of the pinned CPU one.
# TORCH_INDEX_URL names another package index for torch alone (PyTorch's own CPU index, say).
TORCH ?= cpu
TORCH_INDEX_URL ?=
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup dev run test check bench models clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Trefoil needs Python 3.11: install it, or say PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "Installing packages (about three minutes the first time) ..."
	@if [ "$(TORCH)" = cuda ]; then $(PIP) install "torch>=2.13"; \
	  else $(PIP) install torch==2.13.0 $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)); fi
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Installing the tools for tests and checks ..."
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@

setup: $(VENV)/.installed ## Make the environment only

dev: $(VENV)/.installed-dev

run: $(VENV)/.installed ## Set up, load the sample company and start everything
	@$(PY) manage.py up

test: dev ## Set up and pass the tests
	@$(PY) -m tests.requirements
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: dev ## Style, types, walls, translations, documents
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/mypy
	@$(PY) manage.py check --fail-level WARNING
	@$(PY) manage.py makemigrations --check --dry-run
	@$(VENV)/bin/hadolint docker/Dockerfile

bench: dev ## Run the benchmarks that need no data folder
	@$(PY) -m benchmarks.embed

models: $(VENV)/.installed ## Rebuild the shipped models from DATA=a folder of public sets
	@test -n "$(DATA)" || { echo "Say where the data is: make models DATA=DIR (DIR holds twitter/ and sentfin/)"; exit 1; }
	@$(PY) -m services.training.ship_models --data "$(DATA)"

clean: ## Remove the environment and everything the suite made (asks first)
	@read -p "Remove .venv and var/ (the database, uploads and indexes with it)? [y/N] " yes && [ "$$yes" = y ] && rm -rf $(VENV) var || echo "Nothing was removed."
