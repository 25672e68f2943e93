# Careline: `make demo` shows it, `make test` proves it. Needs Python 3.11 or newer with its venv module, make and sh.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000

.PHONY: help free-port setup setup-dev setup-parquet setup-traces demo demo-reset test test-deep lint lock

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: $(VENV)/.setup  ## the environment in .venv, from requirements.lock (hashes checked)

$(VENV)/bin/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Careline needs Python 3.11 or newer. On Debian or Ubuntu: apt install python3 python3-venv"; exit 1; }
	@[ -w . ] || { echo "This folder is read-only for you. Copy it to a folder of your own and run make there."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

# A stamp holds the lock it was made from; touching the lock without changing it installs nothing.
$(VENV)/.setup: requirements.lock | $(VENV)/bin/python
	@$(PY) -c 'import pip' 2>/dev/null || { echo "$(VENV) was not finished: making it again"; "$(PYTHON)" -m venv --clear $(VENV); }
	@if ! cmp -s requirements.lock $@; then \
		echo "Installing requirements.lock into $(VENV)"; \
		{ $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock || \
			{ echo "The packages could not be installed: look above. Once the package index can be reached, the same command goes on."; exit 1; }; } && \
		cp requirements.lock $@ && ln -sf ../../bin/careline $(VENV)/bin/careline; \
	else touch $@; fi

setup-traces: setup  ## OpenTelemetry beside it, for those who set CARELINE_TRACES
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-traces.lock

setup-dev: $(VENV)/.setup-dev

$(VENV)/.setup-dev: requirements-dev.lock $(VENV)/.setup
	@if ! cmp -s requirements-dev.lock $@; then \
		echo "Installing requirements-dev.lock into $(VENV)"; \
		$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock && \
		cp requirements-dev.lock $@; \
	else touch $@; fi

setup-parquet: setup  ## what Parquet files need besides (pyarrow, 50 MB), for `careline import` and `careline export`
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-parquet.lock

# Before a minute is spent on installing; once that is done, `careline demo` says it first, and what runs there.
free-port: $(VENV)/bin/python
	@cmp -s requirements.lock $(VENV)/.setup || $(PY) -c 'import socket, sys; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", int(sys.argv[1])))' '$(PORT)' 2>/dev/null || \
		{ echo "Port $(PORT) cannot be had: something runs on it already, or it is no port. Another one: make demo PORT=8001"; exit 1; }

demo: free-port setup  ## a made-up carrier on http://127.0.0.1:8000/ (PORT=8001 for another port)
	@bin/careline demo --port $(PORT)

demo-reset: setup  ## throw the demo's data away and make it anew (nothing that is no demo)
	@bin/careline demo --reset --no-serve

test: setup-dev  ## everything: lint, types, import rules, all tests on SQLite, the data layer again on PostgreSQL
	@.ci/test

test-deep: setup-dev  ## the property tests with many more examples (many minutes)
	@$(PY) -m pytest -p tests.profiles --hypothesis-profile=deep -n 2

lint: setup-dev  ## ruff, mypy and the import rules only
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

lock: setup-dev  ## pin requirements*.in anew
	@$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		requirements.in -o requirements.lock
	@$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		-c requirements.lock requirements-traces.in -o requirements-traces.lock
	@$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		-c requirements.lock requirements-parquet.in -o requirements-parquet.lock
	@$(VENV)/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		-c requirements.lock -c requirements-parquet.lock requirements-dev.in -o requirements-dev.lock
