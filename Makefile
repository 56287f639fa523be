# One target, one habit. Every target makes the environment it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
PYTEST := $(BIN)/pytest

.PHONY: demo test test-long ui bench lint lock clean
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | column -t -s "$$(printf '\t')"

demo: $(VENV)/installed ## From nothing to answered business questions.
	@$(BIN)/dvd-rental demo

test: $(VENV)/installed lint ## Lint, types and tests.
	$(PYTEST)

test-long: $(VENV)/installed ## The tests with long histories and Snowflake's emulator.
	DVD_RENTAL_TEST_LONG=1 $(PYTEST)

ui: $(VENV)/installed ## Dagster's UI with its daemon; schedules and sensors on.
	@$(BIN)/dvd-rental ui

bench: $(VENV)/installed ## Measure the engine against the server and its peers; see bench/README.md.
	$(BIN)/python -m bench

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --processes 2 dbt/models

lock: $(UV) ## Compile requirements.lock anew from pyproject.toml.
	$(UV) pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --all-extras --quiet \
		--output-file requirements.lock pyproject.toml

clean: ## Remove the environments; what DVD_RENTAL_HOME holds stays.
	rm -rf $(VENV) .uv build

$(VENV)/installed: requirements.lock pyproject.toml | $(UV)
	@echo "Installing into $(VENV)"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
	@$(UV) pip install --quiet --python $(VENV) --compile-bytecode --require-hashes --requirement requirements.lock
	@$(UV) pip install --quiet --python $(VENV) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q dvd_rental_dagster
	@touch $@

.uv/bin/uv:
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv
