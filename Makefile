# CLM. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCHMARKS := reads ingest imports growth stages absurd rhythms call_list agreement
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
CLIENTS := tests/clients
PAGE := clients/lifecycle-page
CLIENTS_VENV := .venv-clients
CLIENTS_STAMP := $(CLIENTS_VENV)/.installed
# Tests and tools start many processes: none should compile again what another has compiled.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
MINUTES ?= 30
.PHONY: help setup demo page test faults run check bench bench-scoring migrate migration lock openapi tables territories examples fmt

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Create .venv and install everything from the hashed lock

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "CLM needs Python 3.11 or newer; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## See CLM do its job on real data, then serve it (ARGS=--once to exit, --proof for more)
	@$(BIN)/clm demo $(ARGS)

test: setup $(CLIENTS_STAMP)  ## Run all tests
	@$(BIN)/python -m pytest $(ARGS)

faults: setup  ## Break a whole deployment at random, for long (MINUTES=30 SEED=1)
	@$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

run: setup  ## Serve the API, a worker and the database on this machine
	@$(BIN)/clm serve $(ARGS)

migrate: setup  ## Bring the database of CLM_DATABASE_URL to the newest schema
	@$(BIN)/clm migrate

# On a throwaway database, so that neither data nor the revision of another branch matter.
migration: setup  ## Draft the migration from the database to the models (NAME="customer tiers")
	@test -n "$(NAME)" || { echo 'say what it does: make migration NAME="customer tiers"' >&2; exit 2; }
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && chmod 755 "$$folder" \
		&& unset CLM_DATABASE_URL && export CLM_DATA_DIR="$$folder" \
		&& $(BIN)/clm migrate >/dev/null && $(BIN)/alembic revision --autogenerate -m "$(NAME)"

check: setup  ## Lint, types, import contracts, SQL of migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.migration_lint

bench: setup  ## Measure against named baselines; each script prints its ratios last
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name || exit 1; done
	@$(MAKE) --no-print-directory bench-scoring

# Scoring and its peers need no service, and the service none of them.
bench-scoring: $(BENCH_STAMP)
	@echo "== scoring"; $(BENCH_VENV)/bin/python -W ignore -m benchmarks.scoring $(ARGS)
	@echo "== learning"; $(BENCH_VENV)/bin/python -W ignore -m benchmarks.learning
	@echo "== backtest"; $(BENCH_VENV)/bin/python -W ignore -m benchmarks.backtest
	@echo "== rescoring"; $(BIN)/python -m benchmarks.rescoring

$(BENCH_STAMP): requirements-bench.lock | $(STAMP)
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BENCH_VENV)/bin/python --require-hashes -r requirements-bench.lock
	@touch $@

# What generates clients brings its own Node and its own libraries: none of them is the service's.
$(CLIENTS_STAMP): requirements-clients.lock $(CLIENTS)/package.json $(CLIENTS)/package-lock.json | $(STAMP)
	test -x $(CLIENTS_VENV)/bin/python || $(PYTHON) -m venv $(CLIENTS_VENV)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(CLIENTS_VENV)/bin/python --require-hashes -r requirements-clients.lock
	PATH="$(CURDIR)/$(CLIENTS_VENV)/bin:$$PATH" npm --prefix $(CLIENTS) ci --ignore-scripts --silent
	@touch $@

page: $(CLIENTS_STAMP)  ## Build the page that shows the API to front-end developers, and serve it
	@cd $(PAGE) && PATH="$(CURDIR)/$(CLIENTS_VENV)/bin:$$PATH" sh build.sh
	@echo "Open http://127.0.0.1:5173; the service must run with CLM_CORS_ORIGINS=http://127.0.0.1:5173"
	@$(BIN)/python -m http.server 5173 --bind 127.0.0.1 --directory $(PAGE)/built

fmt: setup  ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

openapi: setup  ## Write openapi.json anew
	@$(BIN)/python -m tests.openapi > openapi.json

tables: setup  ## Draw docs/tables.md anew from the models
	@$(BIN)/python -m tests.tables > docs/tables.new
	@mv docs/tables.new docs/tables.md

territories: setup  ## Draw countries, languages and scripts anew from CLDR
	@$(BIN)/python -m tests.territories > app/schemas/common/territories.new
	@mv app/schemas/common/territories.new app/schemas/common/territories.json

examples: setup  ## Ask a service for the answers that openapi.json shows, then write it anew
	@$(BIN)/python -m tests.examples > app/schemas/examples.new
	@mv app/schemas/examples.new app/schemas/examples.json
	@$(MAKE) --no-print-directory openapi

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" --python-version 3.11
lock: ## Resolve the dependencies anew into the four hashed locks
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) pyproject.toml --all-extras --group dev -c requirements.lock -o requirements-dev.lock
	$(COMPILE) --group clients -o requirements-clients.lock
	$(COMPILE) --group bench -c requirements.lock -o requirements-bench.lock
