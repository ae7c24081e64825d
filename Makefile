# The commands of the project. Each one makes the environment in .venv first, when it is missing or out of date.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
WORKERS ?= 2
# Which size of the notebooks `make notebooks` runs: smoke, cpu or gpu.
PROFILE ?= smoke
# `make render ALL=1` runs every notebook again, `make render ONLY=book/02_vae` those below a folder.
ALL ?=
ONLY ?=

# The environment is up to date when it holds a stamp with the checksum of the files that describe it. Only a complete
# installation writes the stamp.
CHECKSUM := $(firstword $(shell cat requirements.txt pyproject.toml | cksum))
ENVIRONMENT := $(VENV)/.installed-$(CHECKSUM)
HTML := _build/html

.PHONY: help environment book test lint format notebooks sync render stamp assignments mistakes bench zoo serve clean

help: ## Show this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "The environment lives in $(VENV) and is made with $(PYTHON); set PYTHON=python3.12 for another one."

environment: $(ENVIRONMENT) ## Make the environment in .venv (every other target does this first)

$(ENVIRONMENT):
	@if [ ! -x $(BIN)/python ]; then \
	  command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vaelib needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | head -n 1). Name a newer one: make PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) could not make a virtual environment (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }; \
	fi
	rm -f $(VENV)/.installed-*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

book: $(ENVIRONMENT) ## Build the book into _build/html, from nothing, warnings as errors
	rm -rf _build
	$(BIN)/jupyter-book build . -W --keep-going
	$(BIN)/python -m tools.check_book $(HTML)
	$(BIN)/python -m tools.assignments --check --published $(HTML)
	@echo "The book is $(HTML)/index.html; 'make serve' shows it."

# Cheap checks first. The last step ends with pytest's summary.
test: lint book ## Everything: lint, types, notebooks in step, book build and links, unit tests, every notebook in smoke
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

lint: $(ENVIRONMENT) ## ruff, mypy, notebooks and stamps in step, workflows (seconds)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m tools.stamp --check
	$(BIN)/python -m tools.notebooks check
	$(BIN)/python -m tools.assignments --check
	$(BIN)/python -m tools.lint_workflows

format: $(ENVIRONMENT) ## Format the code with ruff, in Python files and in the notebooks' text
	$(BIN)/python -m tools.notebooks format
	$(BIN)/python -m tools.notebooks sync
	$(BIN)/python -m ruff format .

notebooks: $(ENVIRONMENT) ## Run every notebook, each alone in an empty folder, and write nothing (PROFILE=smoke|cpu|gpu)
	$(BIN)/python -m tools.notebooks run --profile $(PROFILE) $(if $(ONLY),--only $(ONLY))

sync: $(ENVIRONMENT) ## Carry the notebooks' text (.md) over to the .ipynb, keeping outputs of unchanged cells
	$(BIN)/python -m tools.notebooks sync

render: $(ENVIRONMENT) ## Run the notebooks whose cells changed, in the cpu profile, and keep their outputs (ALL=1, ONLY=path)
	$(BIN)/python -m tools.notebooks render $(if $(ALL),--all) $(if $(ONLY),--only $(ONLY))

stamp: $(ENVIRONMENT) ## Write the repository's address (from _config.yml) into badges, set-up cells and the citation
	$(BIN)/python -m tools.stamp
	$(BIN)/python -m tools.notebooks sync
	$(BIN)/python -m tools.assignments

assignments: $(ENVIRONMENT) ## Make the students' exercise notebooks from assignments/source
	$(BIN)/python -m tools.assignments

mistakes: $(ENVIRONMENT) ## Test the checks on the planted mistakes, and write the table into build/instructor
	$(BIN)/python -m tools.mistakes

bench: $(ENVIRONMENT) ## Measure the speed of training, beside other libraries (minutes; use an idle machine)
	$(BIN)/python -m benchmarks.training_speed
	$(BIN)/python -m benchmarks.nvae_speed

zoo: $(ENVIRONMENT) ## List the trained models that the project ships, and check their files
	$(BIN)/python -m tools.zoo

serve: $(ENVIRONMENT) ## Show the built book on http://localhost:8000 (PORT=…)
	@test -f $(HTML)/index.html || { echo "There is no book yet: run 'make book' first." >&2; exit 1; }
	$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(HTML)

clean: ## Remove what the other targets built; .venv and runs/ stay
	rm -rf _build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
