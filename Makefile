# Throughline. `make` alone says what there is; every target sets up .venv/ first.
#
#   make test PYTEST="-k route -n0"      only some tests
#   make run UP="--port 9000"            options of `throughline up`
#   make setup PYTHON=/path/to/python    another interpreter (3.11 or newer)

SHELL := /bin/bash
BIN := .venv/bin
# The name carries the folder: a copied checkout does not take the copy of the old .venv for its own.
STAMP := .venv/.ready-$(shell printf %s "$(CURDIR)" | cksum | cut -d ' ' -f 1)
CODE := schema workers services migrations tests

.DEFAULT_GOAL := help
.PHONY: help setup demo run test check lint format servers bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) ## make .venv/ from requirements.lock
	@:

$(STAMP): requirements.lock pyproject.toml deploy/bootstrap.sh
	@PYTHON="$(PYTHON)" deploy/bootstrap.sh
	@rm -f .venv/.ready-* && touch $@

demo: setup ## sample leads go the whole way; shows the result and ends
	@$(BIN)/throughline demo

run: setup ## start the service and keep it up (Ctrl-C ends it)
	@$(BIN)/throughline up --hints $(UP)

lint: setup ## format, lint, strict types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(CODE)

format: setup ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

servers: setup ## fetch what the tests' servers need
	@$(BIN)/python -m tests.servers fetch

test: lint servers ## lint, types and every test, against real servers of its own
	@$(BIN)/python -m pytest $(PYTEST)

check: test ## the same as test

bench: setup servers ## measure the whole way, on servers of its own
	@$(BIN)/python -m tests.bench $(BENCH)

lock: ## choose versions anew: pyproject.toml to requirements.lock
	@deploy/lock.sh

clean: ## remove what make made; data folders stay
	rm -rf .venv .tools .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info bench.json
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +
