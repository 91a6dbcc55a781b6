# Two commands matter: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
ARGS ?= # for `make run`: --port 7072 --data /another/folder
BIN := .venv/bin
UV := $(BIN)/uv
SYNC := $(UV) sync -q --locked --inexact --compile-bytecode --no-default-groups

.PHONY: run test test-redis test-313 infra snapshots check format docs lock clean
.DEFAULT_GOAL := test

run: .venv/.run
	@exec $(BIN)/python -m local $(ARGS)

test: .venv/.test .venv/.azurite .venv/.kusto .venv/.cosmos-js
	@$(MAKE) -s check infra
	@$(BIN)/pytest

test-redis: .venv/.test # tests that use Redis, on another server: KEEPSAKE_REDIS_SERVER=/path
	@KEEPSAKE_REDIS_SERVER=$(KEEPSAKE_REDIS_SERVER) $(BIN)/pytest tests/adapters tests/turns tests/http/test_chat.py

infra: .venv/.test .venv/.kusto # templates, what they deploy, alert queries, workflows; BICEP=/path/to/bicep
	@$(BIN)/python -m infra.check
	@$(BIN)/python -m infra.kusto
	@$(BIN)/python -m infra.scan

snapshots: .venv/.test # what each variant in infra/variants deploys; needs the Bicep compiler
	@$(BIN)/python -m infra.bicep

test-313: .venv/.test # worker, HTTP layer and domain on Python 3.13, if it is installed
	@PYTHON313="$(PYTHON313)" BIN=$(BIN) devtools/test-313.sh

check: .venv/.test
	@$(UV) lock -q --check
	@$(BIN)/ruff format -q --check .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy --no-error-summary
	@cd packages/cosmos-local && ../../$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

format: .venv/.test
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

docs: .venv/.test # generates the documents that tests/docs/test_generated.py compares with the code
	@$(BIN)/python -m devtools.settings_table
	@$(BIN)/python -m devtools.openapi_document
	@$(BIN)/python -m infra.documents

lock: .venv/.uv
	@$(UV) lock -q
	@$(UV) export -q --no-emit-project --no-default-groups -o requirements.txt

clean:
	@rm -rf .venv .venv313 .local

.venv/.uv:
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 14)' 2>/dev/null || { echo "Keepsake needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
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

.venv/.azurite: .venv/.uv tests/azurite/package-lock.json # the queue the real queue function is tested on; half a minute
	@mkdir -p .venv/azurite && cp tests/azurite/package*.json .venv/azurite/
	@if command -v npm >/dev/null; then npm ci --prefix .venv/azurite --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; \
	else echo "SKIPPED: there is no npm to install Azurite with, so the queue function is not tested"; fi
	@touch $@

.venv/.kusto: .venv/.uv infra/kusto/package-lock.json # Microsoft's parser for the alert queries; some seconds
	@mkdir -p .venv/kusto && cp infra/kusto/package*.json .venv/kusto/
	@if command -v npm >/dev/null; then npm ci --prefix .venv/kusto --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null; fi
	@touch $@
