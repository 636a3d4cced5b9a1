# The project's commands; `make` alone lists them.
PYTHON ?= python3
PORT ?= 8000
INSTALLER ?= uv

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header -p 3.11
SUDO := $(shell test "$$(id -u)" = 0 || echo sudo)
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3

STAMP_NODE := tests/sdk/node/node_modules/.installed
NODE_IS_NEW := node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && command -v npm >/dev/null

.PHONY: help setup demo test test-long browser node-sdk check format bench lock clean messages

help: ## List these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything into .venv (PYTHON=python3, INSTALLER=uv or pip)

$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@rm -f $@
	@echo "[1/4] Creating $(VENV) with $$($(PYTHON) -V)"
	@v='import sys; print(sys.version_info[:3])'; \
		test "$$($(BIN)/python -c "$$v" 2>/dev/null)" = "$$($(PYTHON) -c "$$v")" || \
		$(PYTHON) -m venv --clear --without-pip $(VENV)
	@echo "[2/4] Installing the packages of requirements/dev.txt"
	@set -e; \
	pip() { \
		$(PYTHON) -m pip --version >/dev/null 2>&1 || { \
			$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV); \
			$(BIN)/python -m pip -qq "$$@"; return; }; \
		$(PYTHON) -m pip --python $(BIN)/python -qq "$$@"; \
	}; \
	if test "$(INSTALLER)" = uv && pip install --require-hashes -r requirements/uv.txt && \
		$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements/dev.txt; then :; else \
		echo "      with pip, which takes a minute or two"; \
		pip install --require-hashes -r requirements/dev.txt; \
	fi; \
	echo "[3/4] Installing the portal itself"; \
	if test "$(INSTALLER)" = uv && \
		$(BIN)/uv pip install -q --offline --python $(BIN)/python --no-build-isolation --no-deps -e . ; then :; else \
		pip install --no-build-isolation --no-deps -e . ; \
	fi
	@echo "[4/4] Compiling, for a quick start"
	@$(BIN)/python -m compileall -q -j 0 -x '/(tests?|testing|playwright|mypy|mypyc|_pytest)/' $(VENV)/lib portal >/dev/null 2>&1 || true
	@touch $@
	@echo "Ready: $(BIN)/portal"

demo: $(STAMP) ## Run the portal with example data and its own mailbox (PORT=8000)
	@exec $(BIN)/portal demo --port $(PORT)

test: setup browser node-sdk check ## Run the checks and every test but the long ones
	$(BIN)/pytest -n 2

test-long: setup browser ## Run the long tests
	$(BIN)/pytest -m long

browser: $(STAMP) ## Install Chromium for the tests if none is found (or set PORTAL_TEST_BROWSER)
	@if $(BIN)/python -m tests.browser >/dev/null 2>&1; then :; \
	elif test -n "$$PORTAL_TEST_BROWSER"; then \
		echo "PORTAL_TEST_BROWSER is no program: $$PORTAL_TEST_BROWSER" >&2; exit 1; \
	elif ! command -v apt-get >/dev/null; then \
		echo "Install Chromium and set PORTAL_TEST_BROWSER to its path." >&2; exit 1; \
	else \
		echo "Installing chromium-headless-shell with apt-get"; \
		$(APT) update </dev/null && \
		$(APT) install -y --no-install-recommends chromium-headless-shell fonts-dejavu </dev/null >/dev/null 2>&1 && \
		$(BIN)/python -m tests.browser; \
	fi

node-sdk: $(STAMP_NODE) ## Install the Node SDK that the tests use (needs Node 20 or newer)

$(STAMP_NODE): tests/sdk/node/package.json tests/sdk/node/package-lock.json
	@$(NODE_IS_NEW) || ! command -v apt-get >/dev/null || { \
		echo "Installing nodejs and npm with apt-get"; \
		$(APT) update </dev/null && $(APT) install -y --no-install-recommends nodejs npm </dev/null >/dev/null 2>&1; } || true
	@$(NODE_IS_NEW) || { echo "Node 20 or newer and npm are needed for the tests of the Node SDK: install them." >&2; exit 1; }
	@cd tests/sdk/node && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >/dev/null
	@touch $@

check: $(STAMP) ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Let ruff fix and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure speed on this machine and write docs/performance.md (an hour)
	@command -v wrk >/dev/null || { echo "Installing wrk with apt-get"; \
		$(APT) update </dev/null && $(APT) install -y --no-install-recommends wrk </dev/null >/dev/null; }
	@exec $(BIN)/portal bench

messages: $(STAMP) ## Collect the texts to translate into portal/locale/*.po
	$(BIN)/pybabel -q extract -F pyproject.toml -k _ -k pgettext:1c,2 --no-location --omit-header -o portal/locale/portal.pot .
	for language in portal/locale/*.po; do \
		$(BIN)/pybabel -q update -i portal/locale/portal.pot -o $$language -l $$(basename $$language .po) --no-fuzzy-matching --ignore-obsolete; \
		sed -i.before -E -e '/^"(Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Generated-By):/d' -e '$${/^$$/d;}' $$language; \
		rm $$language.before; \
	done
	rm portal/locale/portal.pot

lock: $(STAMP) ## Rewrite requirements/ from pyproject.toml (UPGRADE=1 for newer versions)
	@test -x $(BIN)/uv || $(PYTHON) -m pip --python $(BIN)/python -qq install --require-hashes -r requirements/uv.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements/core.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev -c requirements/core.txt --no-annotate -o requirements/dev.txt
	echo uv | $(LOCK) $(if $(UPGRADE),--upgrade) --no-annotate - -o requirements/uv.txt

clean: ## Remove .venv and caches (data in instance/ stays)
	rm -rf $(VENV) tests/sdk/node/node_modules .pytest_cache .mypy_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
