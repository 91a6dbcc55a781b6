# Two commands matter: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
ARGS ?= # for `make run`: --port 7072 --data /another/folder
BIN := .venv/bin
UV := $(BIN)/uv
SYNC := $(UV) sync -q --locked --inexact --compile-bytecode --no-default-groups

.PHONY: run test test-redis test-313 infra check format docs lock clean
.DEFAULT_GOAL := test

run: .venv/.run
	@exec $(BIN)/python -m local $(ARGS)

test: .venv/.test .venv/.azurite .venv/.cosmos-js
	@$(MAKE) -s check infra
	@$(BIN)/pytest

test-redis: .venv/.test # the same tests on another server: KEEPSAKE_REDIS_SERVER=/usr/bin/redis-server
	@KEEPSAKE_REDIS_SERVER=$(KEEPSAKE_REDIS_SERVER) $(BIN)/pytest tests/redis tests/stateful tests/http/test_chat.py

infra: .venv/.test # without Azure: templates, rights, settings; then other people's scanners
	@$(BIN)/python -m infra.check > .venv/infra.log || { cat .venv/infra.log; exit 1; }
	@$(BIN)/python -m infra.check.scan > .venv/infra-scan.log || { cat .venv/infra-scan.log; exit 1; }
	@grep SKIPPED .venv/infra-scan.log || true

test-313: .venv/.test # what the Functions worker and our HTTP layer do on Python 3.13, where there is one
	@PYTHON313="$(PYTHON313)" BIN=$(BIN) local/test-313.sh

check: .venv/.test
	@$(UV) lock -q --check
	@$(BIN)/ruff format -q --check .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy --no-error-summary
	@cd packages/cosmos-local && ../../$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

format: .venv/.test
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

docs: .venv/.test # what is generated from the code, and compared with it by tests/docs/test_generated.py
	@$(BIN)/python -m local.settings_table
	@$(BIN)/python -m local.openapi_document

lock: .venv/.uv
	@$(UV) lock -q
	@$(UV) export -q --no-emit-project --no-default-groups -o requirements.txt

clean:
	@rm -rf .venv .venv313 .local

.venv/.uv:
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null || { echo "Keepsake needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into .venv (once, under a minute) ..."
	@$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -qq --disable-pip-version-check uv==0.13.8 && touch $@

.venv/.run: .venv/.uv uv.lock
	@$(SYNC) --group local && touch $@

.venv/.test: .venv/.uv uv.lock requirements-worker.txt
	@$(SYNC) --group test
	@$(UV) pip install -q --no-deps --require-hashes --python $(BIN)/python \
		--python-version 3.13 -r requirements-worker.txt && touch $@

JS := packages/cosmos-local/tests/js
.venv/.cosmos-js: .venv/.uv $(JS)/package-lock.json # the JavaScript SDKs are tested on the local Cosmos DB
	@if command -v npm >/dev/null; then npm ci --prefix $(JS) --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo "SKIPPED: without npm the JavaScript SDKs are not tested on the local Cosmos DB"; fi
	@touch $@

.venv/.azurite: .venv/.uv tests/azurite/package-lock.json # the real queue function is tested on it; half a minute
	@mkdir -p .venv/azurite && cp tests/azurite/package*.json .venv/azurite/
	@if command -v npm >/dev/null; then npm ci --prefix .venv/azurite --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo "SKIPPED: without npm there is no Azurite, and the queue function is not tested on it"; fi
	@touch $@
